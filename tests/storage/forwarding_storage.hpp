#pragma once

#include "quern/storage/any_storage.hpp"

namespace quern_test {

/// A storage that asks another one; a test overrides the calls that it wants to be different.
class ForwardingStorage : public quern::StoragePort {
 public:
  explicit ForwardingStorage(quern::StoragePort& inner) : inner_(inner) {}

  quern::JobId reserve_ids(std::size_t count) override { return inner_.reserve_ids(count); }
  std::vector<quern::InsertResult> insert(std::span<const quern::NewJob> jobs) override {
    return inner_.insert(jobs);
  }
  std::vector<quern::Claim> claim(const quern::ClaimRequest& request) override {
    return inner_.claim(request);
  }
  std::vector<quern::FinishResult> finish(std::span<const quern::Finish> finishes) override {
    return inner_.finish(finishes);
  }
  quern::PromoteResult promote(std::size_t limit) override { return inner_.promote(limit); }
  std::vector<quern::CancelResult> cancel(std::span<const quern::JobId> ids, std::string_view who) override {
    return inner_.cancel(ids, who);
  }
  std::vector<quern::RetryResult> retry(std::span<const quern::JobId> ids, std::string_view who) override {
    return inner_.retry(ids, who);
  }
  std::vector<quern::ChangeResult> reschedule(std::span<const quern::JobId> ids, quern::When when,
                                              std::string_view who) override {
    return inner_.reschedule(ids, when, who);
  }
  std::vector<quern::ChangeResult> set_priority(std::span<const quern::JobId> ids, quern::Priority priority,
                                                std::string_view who) override {
    return inner_.set_priority(ids, priority, who);
  }
  std::vector<quern::EraseResult> erase(std::span<const quern::JobId> ids) override {
    return inner_.erase(ids);
  }
  std::optional<quern::JobId> key_holder(const std::string& key) override { return inner_.key_holder(key); }
  std::vector<std::optional<quern::Job>> find(std::span<const quern::JobId> ids) override {
    return inner_.find(ids);
  }
  quern::JobPage list(const quern::JobFilter& filter) override { return inner_.list(filter); }
  std::vector<quern::JobCount> count() override { return inner_.count(); }
  std::vector<quern::ReadyAge> oldest_ready() override { return inner_.oldest_ready(); }
  std::vector<quern::CountFault> recount() override { return inner_.recount(); }
  quern::PruneResult prune(const quern::PruneRequest& request) override { return inner_.prune(request); }
  std::vector<quern::RunCheck> progress(std::span<const quern::ProgressUpdate> updates) override {
    return inner_.progress(updates);
  }
  quern::RunCheck save_step(const quern::RunRef& run, const quern::Step& step) override {
    return inner_.save_step(run, step);
  }
  std::vector<quern::Step> steps(quern::JobId id) override { return inner_.steps(id); }
  std::vector<quern::JobId> cancel_requests(quern::NodeId node) override {
    return inner_.cancel_requests(node);
  }
  quern::NodeId register_node(const quern::NodeInfo& info) override { return inner_.register_node(info); }
  quern::RenewResult renew(quern::NodeId node) override { return inner_.renew(node); }
  void retire(quern::NodeId node) override { inner_.retire(node); }
  quern::RescueResult rescue(std::size_t limit, int crashes) override {
    return inner_.rescue(limit, crashes);
  }
  std::vector<quern::NodeStatus> nodes() override { return inner_.nodes(); }
  void pause(std::string_view queue) override { inner_.pause(queue); }
  void resume(std::string_view queue) override { inner_.resume(queue); }
  void limit_queue(std::string_view queue, std::uint64_t max_waiting) override {
    inner_.limit_queue(queue, max_waiting);
  }
  std::vector<quern::QueueStatus> queues() override { return inner_.queues(); }
  void set_limit(const quern::LimitRule& rule) override { inner_.set_limit(rule); }
  bool erase_limit(std::string_view name) override { return inner_.erase_limit(name); }
  std::vector<quern::LimitStatus> limits() override { return inner_.limits(); }
  void put_record(const quern::Record& record) override { inner_.put_record(record); }
  std::optional<quern::Payload> get_record(std::string_view collection, std::string_view key) override {
    return inner_.get_record(collection, key);
  }
  std::vector<quern::Record> list_records(std::string_view collection, std::string_view after,
                                          std::size_t limit) override {
    return inner_.list_records(collection, after, limit);
  }
  bool erase_record(std::string_view collection, std::string_view key) override {
    return inner_.erase_record(collection, key);
  }
  quern::InsertIfResult insert_if(std::span<const quern::NewJob> jobs,
                                  std::span<const quern::RecordChange> changes) override {
    return inner_.insert_if(jobs, changes);
  }
  void observe(quern::StorageObserver& observer) override { inner_.observe(observer); }
  void unobserve(quern::StorageObserver& observer) override { inner_.unobserve(observer); }
  std::uint64_t foreign_changes() override { return inner_.foreign_changes(); }
  [[nodiscard]] bool watches_foreign_changes() const override { return inner_.watches_foreign_changes(); }
  [[nodiscard]] quern::ClockRef clock() const override { return inner_.clock(); }
  [[nodiscard]] std::string describe() const override { return inner_.describe(); }
  [[nodiscard]] quern::BackupPort* backup() noexcept override { return inner_.backup(); }

 protected:
  quern::StoragePort& inner_;
};

}  // namespace quern_test
