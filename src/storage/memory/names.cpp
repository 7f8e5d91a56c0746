#include "storage/memory/names.hpp"

namespace quern::inline v1::memory {

Queue* Names::find_queue(std::string_view name) {
  const auto found = queues_.find(name);
  return found == queues_.end() ? nullptr : &found->second;
}

Queue& Names::queue(std::string_view name) {
  if (Queue* const known = find_queue(name)) return *known;
  return queues_.emplace(std::string(name), Queue{.name = std::string(name), .lanes = {}}).first->second;
}

Kind* Names::find_kind(std::string_view name) {
  const auto found = kinds_.find(name);
  return found == kinds_.end() ? nullptr : &found->second;
}

Lane& Names::lane(std::string_view queue_name, std::string_view kind_name) {
  Queue& in = queue(queue_name);
  Kind* kind = find_kind(kind_name);
  if (kind == nullptr)
    kind = &kinds_
                .emplace(std::string(kind_name),
                         Kind{.name = std::string(kind_name), .ready = {}, .durability = {}})
                .first->second;
  Lane*& known = lane_of_[{&in, kind}];
  if (known == nullptr) {
    Lane& made = lanes_.emplace_back(nodes_);
    made.id = static_cast<LaneId>(lanes_.size() - 1);
    made.queue = &in;
    made.kind = kind;
    in.lanes.push_back(&made);
    rules.add_to(made);
    known = &made;
  }
  return *known;
}

ProfileId Names::profile(std::string_view queue, std::string_view kind, Duration timeout,
                         const detail::PayloadCodec* codec) {
  constexpr std::size_t most = 1024;  // beyond, a job keeps its own timeout
  if (last_ < profiles_.size()) {
    const Profile& last = profiles_[last_];
    if (last.timeout == timeout && last.codec == codec && last.lane->kind->name == kind &&
        last.lane->queue->name == queue)
      return last_;
  }
  Lane& in = lane(queue, kind);
  auto known = profile_of_.find({&in, timeout.count(), codec});
  if (known == profile_of_.end()) {
    if (timeout != Duration::zero() && profiles_.size() >= most)
      return profile(queue, kind, Duration::zero(), codec);
    known =
        profile_of_.emplace(ProfileKey{&in, timeout.count(), codec}, static_cast<ProfileId>(profiles_.size()))
            .first;
    profiles_.push_back({.lane = &in, .timeout = timeout, .codec = codec});
  }
  last_ = known->second;
  return last_;
}

}  // namespace quern::inline v1::memory
