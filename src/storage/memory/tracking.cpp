// Which jobs have changed since they were last captured.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "quern/core/error.hpp"
#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {

JobDurability Jobs::durability(Kind& kind) const {
  if (!kind.durability) kind.durability = log_->tracker.durability(kind.name);
  return *kind.durability;
}

void Jobs::mark(Row& row) {
  ChangeLog& log = *log_;
  const JobDurability how = durability(*lane(row).kind);
  if (how == JobDurability::memory_only) {
    // Of an earlier process that kept this kind: it must not come back as it was then.
    if (row.kept_elsewhere != 0) log.erased.push_back(row.job_id());
    row.kept_elsewhere = 0;
    return;
  }
  if (how == JobDurability::committed) log.urgent = true;
  if ((row.changed & log.old_bit()) != 0) {
    log.saved.push_back(image_of(row));
    log.captured.push_back(row.job_id());
    row.set_changed(row.changed & ~log.old_bit());
    row.kept_elsewhere = 1;
  }
  if ((row.changed & log.new_bit()) == 0) log.mark(find_slot(row.job_id()), row);
}

void Jobs::mark_new(Slot slot, Row& row) {
  if (!log_) return;
  const JobDurability how = durability(*lane(row).kind);
  if (how == JobDurability::memory_only) return;
  if (how == JobDurability::committed) log_->urgent = true;
  log_->mark(slot, row);
}

void Jobs::mark_gone(Row& row) {
  if (!log_) return;
  mark(row);
  if (row.kept_elsewhere != 0) log_->erased.push_back(row.job_id());
}

void Jobs::check_durability(const NewJob& job, const Coming& coming) const {
  if (!log_) return;
  const ChangeTracker& tracker = log_->tracker;
  if (tracker.durability(job.kind) == JobDurability::memory_only) return;
  for (const JobId parent : job.parents) {
    const Slot slot = find_slot(parent);
    const std::string& kind = slot == no_slot ? coming.at(parent)->kind : lane(rows_[slot]).kind->name;
    if (tracker.durability(kind) != JobDurability::memory_only) continue;
    throw InvalidArgument(
        "parents", fmt::format("job {} is kept in memory only (kind \"{}\") and cannot be the parent of one "
                               "that is to outlive the process (kind \"{}\")",
                               parent.value, kind, job.kind));
  }
}

void Jobs::confirm(const Row& row) {
  if (!log_ || row.changed == 0) return;
  if (durability(*lane(row).kind) == JobDurability::committed) log_->urgent = true;
}

void Jobs::take_back(Call& call, std::span<const Claim> claims) {
  for (const Claim& claim : claims) {
    Row* const row = held_by(claim.ref);
    if (row == nullptr) continue;
    touch(*row);
    row->attempt = (row->attempt - 1) & most_attempts;
    make_ready(call, *row, row->run_at);
    event(call, JobEventType::released, *row);
  }
}

JobImage Jobs::image_of(const Row& row) const {
  JobImage image;
  image.job = job_of(row);
  if (row.state() == JobState::running) image.claimed_attempts = static_cast<int>(row.max_attempts);
  const More* const rest = has_more(row);
  if (rest == nullptr) return image;
  image.unique = rest->unique;
  if (!rest->unique.key.empty()) {
    const auto holder = keys_.find(rest->unique.key);
    image.holds_key = holder != keys_.end() && holder->second == row.job_id();
  }
  image.waits_for.assign(rest->waits_for.begin(), rest->waits_for.end());
  image.cancel_reason = rest->cancel_reason;
  image.progress_epoch = rest->progress_epoch;
  image.steps = rest->steps;
  return image;
}

std::uint64_t Jobs::begin_capture(const Records& records) {
  ChangeLog& log = *log_;
  assert(!log.capturing && log.saved.empty());
  log.capturing = true;
  log.begun = false;
  log.at = 0;
  log.captured.clear();
  log.captured_erased = std::exchange(log.erased, {});
  log.captured_records = std::exchange(log.records, {});
  log.captured_queues = std::exchange(log.queues, {});
  log.beside.clear();
  log.beside.erased = log.captured_erased;
  for (const RecordKey& key : log.captured_records) {
    if (auto value = records.get(key.collection, key.key))
      log.beside.records.push_back({key.collection, key.key, std::move(*value)});
    else
      log.beside.erased_records.push_back(key);
  }
  for (const std::string& name : log.captured_queues) {
    const Queue& queue = names_.queues().at(name);
    log.beside.queues.push_back({.name = name, .paused = queue.paused, .max_waiting = queue.max_waiting});
  }
  return log.generation++;
}

bool Jobs::capture(ImageChunk& chunk, std::size_t count) {
  ChangeLog& log = *log_;
  assert(log.capturing);
  chunk.clear();
  if (!std::exchange(log.begun, true)) std::swap(chunk, log.beside);
  while (!log.saved.empty() && chunk.jobs.size() < count) {
    chunk.jobs.push_back(std::move(log.saved.back()));
    log.saved.pop_back();
  }
  const std::vector<Slot>& slots = log.old_slots();
  const unsigned bit = log.old_bit();
  for (; log.at < slots.size() && chunk.jobs.size() < count; ++log.at) {
    constexpr std::size_t ahead = 8;
    if (log.at + ahead < slots.size()) rows_.prefetch(slots[log.at + ahead]);
    Row& row = rows_[slots[log.at]];
    if ((row.changed & bit) == 0) continue;
    row.set_changed(row.changed & ~bit);
    row.kept_elsewhere = 1;
    chunk.jobs.push_back(image_of(row));
    log.captured.push_back(row.job_id());
  }
  return !chunk.empty();
}

void Jobs::end_capture(bool written) {
  ChangeLog& log = *log_;
  assert(log.capturing);
  if (!written) {
    // All of it is as good as changed now. What was to be erased is erased by the next one.
    for (const JobId id : log.captured) {
      Row* const row = find_row(id);
      if (row != nullptr && (row->changed & log.new_bit()) == 0) log.mark(find_slot(id), *row);
    }
    const std::vector<Slot>& slots = log.old_slots();
    for (; log.at < slots.size(); ++log.at) {
      Row& row = rows_[slots[log.at]];
      if ((row.changed & log.old_bit()) == 0) continue;
      row.set_changed(row.changed & ~log.old_bit());
      if ((row.changed & log.new_bit()) == 0) log.mark(slots[log.at], row);
    }
    log.erased.insert(log.erased.end(), log.captured_erased.begin(), log.captured_erased.end());
    log.records.merge(log.captured_records);
    log.queues.merge(log.captured_queues);
  }
  log.saved.clear();
  log.beside.clear();
  log.captured_erased.clear();
  log.old_slots().clear();
  log.capturing = false;
}

}  // namespace quern::inline v1::memory
