#pragma once

#include <optional>
#include <unordered_map>

#include "quern/core/job.hpp"
#include "storage/sqlite/claim_book.hpp"
#include "storage/sqlite/connection.hpp"

namespace quern::inline v1::sqlite {

/// Finds jobs within one read transaction.
class Finder {
 public:
  explicit Finder(Connection& db) : db_(db), claims_(db) {}

  [[nodiscard]] std::optional<Job> find(JobId id);

  struct Running {
    NodeId node{};
    TimePoint claimed_at{};
    int attempt = 0;
    Epoch epoch = 0;
    int max_attempts = 0;
  };
  /// All running jobs. Read once.
  [[nodiscard]] const std::unordered_map<JobId, Running>& running();

 private:
  void add_errors(Job& job);

  Connection& db_;
  ClaimBook claims_;
  std::optional<std::unordered_map<JobId, Running>> running_;
};

}  // namespace quern::inline v1::sqlite
