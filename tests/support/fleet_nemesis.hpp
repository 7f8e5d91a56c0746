#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "quern/core/random.hpp"
#include "support/fleet.hpp"

namespace quern_test {

/// What is done to a fleet. A seed says what comes when, to whom, and for how long.
class Nemesis {
 public:
  enum class Fault : std::uint8_t {
    kill,          ///< SIGKILL to a worker, and another one starts.
    pause,         ///< SIGSTOP to a worker for 2 to 10 leases, then SIGCONT.
    end_sessions,  ///< pg_terminate_backend of some of the storages' sessions.
    restart,       ///< Of the server, which ends all sessions.
    crash,         ///< Of the server, which then recovers.
    cut,           ///< A proxy cuts all its connections for a while.
    delay,         ///< A proxy delays all that passes it by up to a third of a lease.
    half_open,     ///< A proxy passes nothing on for up to 4 leases, and then all of it.
    drop_answers,  ///< A proxy drops answers to what the server has done, and cuts.
  };
  static constexpr std::array names{"kill", "pause", "end_sessions", "restart",     "crash",
                                    "cut",  "delay", "half_open",    "drop_answers"};
  static constexpr std::size_t kinds = names.size();

  /// Between two faults it waits up to `longest_pause`.
  Nemesis(Fleet& fleet, std::uint64_t seed, std::chrono::milliseconds longest_pause);

  /// Does what is due, and says when it wants to be called again.
  std::chrono::steady_clock::time_point step();
  /// Ends every fault that lasts.
  void relent();

  /// How often each fault has been, by its number.
  [[nodiscard]] const std::array<int, kinds>& counts() const noexcept { return counts_; }
  /// How often all of them have been.
  [[nodiscard]] int rounds() const noexcept;
  /// Answers that proxies have dropped.
  [[nodiscard]] int dropped() const;

 private:
  using Time = std::chrono::steady_clock::time_point;

  void strike(Fault fault, Time now);
  void pause_a_worker(Time now);
  [[nodiscard]] std::size_t draw_proxy();
  void disturb(LoopbackProxy::Traffic traffic, Time until, std::chrono::milliseconds by = {});
  /// From `least` to `most` leases.
  [[nodiscard]] std::chrono::milliseconds leases(std::uint64_t least, std::uint64_t most);
  [[nodiscard]] std::chrono::milliseconds up_to(std::chrono::milliseconds most);

  Fleet& fleet_;
  quern::Random random_;
  const std::chrono::milliseconds longest_pause_;
  std::vector<Fault> deck_;
  Time next_;
  std::vector<Time> paused_until_;     // by worker
  std::vector<Time> disturbed_until_;  // by proxy
  std::array<int, kinds> counts_{};
};

/// What a fleet and its nemesis come to.
struct FleetReport {
  FleetVerdict verdict{};
  std::array<int, Nemesis::kinds> faults{};
  std::uint64_t tried = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t refused = 0;
  std::uint64_t found = 0;
  std::uint64_t unknown = 0;
  std::uint64_t in_doubt = 0;
  std::size_t kept = 0;
  std::size_t runs = 0;
  int processes = 0;
  int looks = 0;
  int dropped = 0;
  std::chrono::milliseconds took{};

  [[nodiscard]] bool good() const noexcept { return verdict.good(); }
};

/// Lets the fleet work under all of its faults until at least so many jobs were added and each fault has been
/// so often, and then come to rest. `say` is told of what goes on, a line now and then.
[[nodiscard]] FleetReport torment(Fleet& fleet, std::uint64_t seed, std::uint64_t jobs, int rounds,
                                  std::chrono::milliseconds longest_pause, void (*say)(std::string_view));

/// In several lines.
[[nodiscard]] std::string to_text(const FleetReport& report);

}  // namespace quern_test
