#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "quern/core/payload.hpp"
#include "quern/storage/tracked_store.hpp"
#include "storage/memory/line.hpp"
#include "storage/memory/rules.hpp"

namespace quern::inline v1::memory {

struct Lane;

/// What a claim may still take of one kind, or from one queue.
struct Room {
  std::uint64_t claim = 0;  ///< Counts claims: of another one it means nothing.
  std::size_t left = 0;
  int max_attempts = 0;  ///< Of a kind.
};

struct Queue {
  std::string name;
  Room room{};
  bool paused = false;
  std::uint64_t max_waiting = 0;
  std::vector<Lane*> lanes;
};

struct Kind {
  std::string name;
  Room room{};
  std::vector<Lane*> ready;                 ///< Its lanes that have ready jobs.
  std::optional<JobDurability> durability;  ///< Where changes are tracked, once it was asked for.
};

/// The jobs of one queue and one kind.
struct Lane {
  explicit Lane(SlabPool& its_nodes) : nodes(&its_nodes), ended{Line(*nodes), Line(*nodes), Line(*nodes)} {}

  SlabPool* nodes;  ///< Of its lines.
  LaneId id = 0;
  Queue* queue = nullptr;
  Kind* kind = nullptr;
  std::array<std::uint64_t, state_count> counts{};
  std::array<std::unique_ptr<Line>, 10> ready{};  ///< By priority; made when first needed.
  std::array<Line, 3> ended;      ///< completed, dead, cancelled that no blocked job waits for.
  std::size_t place_in_kind = 0;  ///< In `kind->ready`, while it stands there.
  std::vector<Rule*> rules{};     ///< Those that are for its jobs.

  [[nodiscard]] std::uint64_t count(JobState state) const noexcept { return counts[index_of(state)]; }
  [[nodiscard]] Line& ended_line(JobState state) noexcept {
    return ended[index_of(state) - index_of(JobState::completed)];
  }
  [[nodiscard]] Line& ready_line(Priority priority) {
    auto& line = ready[static_cast<std::size_t>(priority.level)];
    if (!line) line = std::make_unique<Line>(*nodes);
    return *line;
  }
};

/// What many jobs share, so that each keeps but a number for it.
struct Profile {
  Lane* lane = nullptr;
  Duration timeout{0};
  const detail::PayloadCodec* codec = nullptr;  ///< How the payload is encoded; null: JSON text.
};

/// The queues, kinds and lanes, each known once it was named, and the profiles. They stay for ever: there are
/// as many as the host uses names. Not thread-safe.
class Names {
 public:
  [[nodiscard]] Queue* find_queue(std::string_view name);
  [[nodiscard]] Queue& queue(std::string_view name);
  [[nodiscard]] Kind* find_kind(std::string_view name);
  [[nodiscard]] Lane& lane(std::string_view queue, std::string_view kind);
  [[nodiscard]] const std::deque<Lane>& lanes() const noexcept { return lanes_; }
  [[nodiscard]] std::deque<Lane>& lanes() noexcept { return lanes_; }
  /// By name.
  [[nodiscard]] const std::map<std::string, Queue, std::less<>>& queues() const noexcept { return queues_; }

  /// The number of a profile; of one without the timeout when there are too many already.
  [[nodiscard]] ProfileId profile(std::string_view queue, std::string_view kind, Duration timeout,
                                  const detail::PayloadCodec* codec);
  [[nodiscard]] const Profile& operator[](ProfileId id) const noexcept { return profiles_[id]; }

  /// How many queues have a limit.
  std::size_t limited = 0;
  /// Of jobs that run and start.
  Rules rules{};

 private:
  SlabPool nodes_{Line::node_bytes};
  std::map<std::string, Queue, std::less<>> queues_;
  std::map<std::string, Kind, std::less<>> kinds_;
  std::deque<Lane> lanes_;
  std::map<std::pair<const Queue*, const Kind*>, Lane*> lane_of_;
  std::vector<Profile> profiles_;
  struct ProfileKey {
    const Lane* lane;
    std::int64_t timeout;
    const detail::PayloadCodec* codec;
    friend auto operator<=>(const ProfileKey&, const ProfileKey&) = default;
  };
  std::map<ProfileKey, ProfileId> profile_of_;
  ProfileId last_ = 0;  // mostly the next job is like the last one
};

}  // namespace quern::inline v1::memory
