#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/storage/limit_rules.hpp"
#include "quern/storage/requests.hpp"

namespace quern::inline v1::testing::detail {

/// What a storage should do, as plainly as it can be said: one list of jobs, looked through from end to end
/// for every question. Shares no code with a storage. Knows no payloads, messages, steps, records or events.
class Model {
 public:
  struct ModelJob {
    NewJob given;
    JobState state = JobState::blocked;
    DeadReason dead_reason = DeadReason::none;
    int run = 1;
    int attempt = 0;
    int allowed_attempts = 0;  // by its last claim
    int snoozes = 0;
    int crashes = 0;
    Epoch epoch = 0;
    bool cancel_requested = false;
    bool owns_key = false;
    std::size_t errors = 0;
    NodeId node{};
    TimePoint created_at{};
    TimePoint run_at{};
    std::optional<TimePoint> deadline{};
    std::optional<TimePoint> finished_at{};
    std::set<JobId> open_parents{};
  };

  explicit Model(const ManualClock& clock) : clock_(clock) {}

  void add_node(NodeId id, Duration lease) { nodes_[id] = {lease, clock_.steady() + lease, true}; }
  [[nodiscard]] RenewResult renew(NodeId id);
  [[nodiscard]] bool alive(NodeId id) const;

  std::vector<InsertResult> insert(std::span<const NewJob> jobs);
  std::vector<JobId> claim(const ClaimRequest& request);
  std::vector<FinishResult> finish(std::span<const Finish> finishes);
  PromoteResult promote();
  CancelResult cancel(JobId id);
  RetryResult retry(JobId id);
  RescueResult rescue(int crash_limit);
  PruneResult prune(const PruneRequest& request);
  void pause(const std::string& queue, bool paused);

  /// A rule and all that has started under its rate. One that gets another rate begins anew.
  struct ModelRule {
    LimitRule rule{};
    SteadyTime since{};
    std::vector<SteadyTime> starts{};
  };
  void set_limit(const LimitRule& rule);
  bool erase_limit(const std::string& name);
  [[nodiscard]] std::vector<LimitStatus> limits() const;

  [[nodiscard]] const std::map<JobId, ModelJob>& jobs() const { return jobs_; }
  [[nodiscard]] std::vector<JobId> cancel_requests(NodeId node) const;

 private:
  struct ModelNode {
    Duration lease{};
    SteadyTime until{};
    bool alive = true;
  };

  InsertResult insert_one(const NewJob& job, std::map<JobId, JobId>& stand_ins);
  FinishResult finish_one(const Finish& finish);
  void end(ModelJob& job, JobState state, DeadReason reason = DeadReason::none);
  void wait(ModelJob& job, TimePoint run_at);
  void resolve_dependents();
  [[nodiscard]] ModelJob* key_owner(const std::string& key);
  // model_limits.cpp
  [[nodiscard]] std::uint64_t count_under(const LimitRule& rule, JobState state) const;
  [[nodiscard]] bool may_start(const ModelJob& job) const;
  void note_start(const ModelJob& job);
  [[nodiscard]] TimePoint next_start() const;

  const ManualClock& clock_;
  std::map<JobId, ModelJob> jobs_;
  std::map<NodeId, ModelNode> nodes_;
  std::set<std::string> paused_;
  std::map<std::string, ModelRule> rules_;
};

}  // namespace quern::inline v1::testing::detail
