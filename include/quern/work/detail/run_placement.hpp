#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/storage/requests.hpp"
#include "quern/work/executor.hpp"

namespace quern::inline v1::detail {

/// Says which jobs a processor may begin, and whose slots they take, where that is more than a number of slots.
///
/// Rounds   a claim asks for at most so many jobs of each kind, and may get any mixture of these. So jobs are claimed in
///          rounds, and in one round whatever comes has room: `begin` never lacks it.
/// Threads  called by the engine under its lock, one at a time; must not call the engine.
class RunPlacement {
 public:
  RunPlacement() = default;
  RunPlacement(const RunPlacement&) = delete;
  RunPlacement& operator=(const RunPlacement&) = delete;
  virtual ~RunPlacement() = default;

  /// What one claim may bring.
  struct Round {
    std::size_t limit = 0;
    std::vector<std::size_t> kinds{};  ///< At most so many of each kind, in the handlers' order.
  };
  /// How a run ended, as far as it says something of its worker.
  enum class End : std::uint8_t { completed, failed, other, ignored_stop };

  /// All slots, and how many of them are free.
  [[nodiscard]] virtual std::size_t slots() const noexcept = 0;
  [[nodiscard]] virtual std::size_t free() const noexcept = 0;
  /// True while one round is all that there is.
  [[nodiscard]] virtual bool uniform() = 0;
  /// The next round, `first`: of a new cycle. False: the cycle is over.
  [[nodiscard]] virtual bool next_round(bool first, Round& round) = 0;
  /// The run begins; `kind` is its place in the handlers' order. Returns who runs it, for logs: valid until it ends.
  virtual std::string_view begin(TaskToken token, const Claim& claim, std::size_t kind,
                                 SteadyTime steady) = 0;
  virtual void end(TaskToken token, End how, SteadyTime steady) = 0;
  /// The engine does its work.
  virtual void ticked(SteadyTime steady) noexcept = 0;
  /// Adds the runs that are to be asked to stop now, each once.
  virtual void take_stops(SteadyTime steady, std::vector<TaskToken>& tokens) = 0;
  /// When there may be such runs. max(): nobody knows of any.
  [[nodiscard]] virtual SteadyTime next_stop() const noexcept = 0;
};

}  // namespace quern::inline v1::detail
