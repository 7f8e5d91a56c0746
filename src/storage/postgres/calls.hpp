#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "storage/postgres/impl.hpp"

namespace quern::inline v1 {

/// A claim: what is asked for, and what to make of the answer. Hints that are not given back, since it failed,
/// are lost: what it made of them nobody knows.
struct PostgresStorage::Impl::ClaimCall {
  ClaimCall(Impl& impl, const ClaimRequest& request);

  [[nodiscard]] static const Statement& statement();
  [[nodiscard]] Params params(bool events) const;
  void take(const Result& rows);
  /// It may have been carried out: it is undone before the node claims again.
  void lost();
  /// Adds the events of what it has started.
  void tell(Change& change) const;

  std::vector<Claim> claims{};
  std::vector<postgres::SetAside> aside{};

 private:
  Impl& impl_;
  const ClaimRequest& request_;
  const std::int64_t token_;
  std::unique_ptr<postgres::LineHints> hints_;
  const std::shared_ptr<postgres::Listener> listener_;
  TimePoint next_start_ = TimePoint::max();
};

/// The ends of runs: what is told, and what to make of the answer.
struct PostgresStorage::Impl::FinishCall {
  FinishCall(Impl& impl, std::span<const Finish> finishes);

  [[nodiscard]] static const Statement& statement();
  [[nodiscard]] Params params(bool events) const;
  /// Of a row that is no effect.
  void take(const Result& rows, int row);

  std::vector<JobId> new_ids{};  ///< Of the jobs that they add.
  std::vector<FinishResult> answers;

 private:
  Impl& impl_;
  const std::span<const Finish> finishes_;
  std::string jobs_{};  ///< JSON; empty: none.
  std::string records_{};
};

}  // namespace quern::inline v1
