#include "quern/storage/write_behind.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "quern/core/error.hpp"
#include "quern/core/retry_policy.hpp"

namespace quern::inline v1::detail {
namespace {

/// Jobs per chunk: the memory is locked for as long as it takes to copy so many.
constexpr std::size_t chunk_jobs = 128;
constexpr std::uint64_t first_block = 1024;
constexpr std::uint64_t largest_block = 65'536;
/// The nodes of one keeper have numbers of their own, which no other one will give away.
constexpr unsigned node_bits = 20;

WriteBehindOptions checked(WriteBehindOptions options) {
  constexpr auto least = Duration(std::chrono::milliseconds(1));
  constexpr auto most = Duration(std::chrono::days(1));
  if (options.persistence_interval < least || options.persistence_interval > most)
    throw InvalidArgument("persistence_interval",
                          fmt::format("is {}; allowed is {} to {}", to_text(options.persistence_interval),
                                      to_text(least), to_text(most)));
  if (options.max_unwritten < 1) throw InvalidArgument("max_unwritten", "is 0; allowed is 1 or more");
  if (options.seed == 0) options.seed = Random::entropy();
  return options;
}

NodeInfo keeper_info(const WriteBehindOptions& options) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host = {"unknown"};
  const auto process = static_cast<std::int64_t>(::getpid());
  return {.name = options.name.empty() ? fmt::format("{}:{}", host.data(), process) : options.name,
          .host = host.data(),
          .process = process};
}

}  // namespace

/// What the memory holds of one generation.
class WriteBehindCore::Capture final : public ImageSource {
 public:
  explicit Capture(TrackedPort& memory) : memory_(memory) {}
  ~Capture() override { end(false); }
  void rewind() override {
    end(false);
    generation_ = memory_.begin_capture();
    open_ = true;
  }
  bool next(ImageChunk& chunk) override { return memory_.capture(chunk, chunk_jobs); }
  void end(bool written) {
    if (std::exchange(open_, false)) memory_.end_capture(written);
  }
  /// The last one that was begun; 0: none.
  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }

 private:
  TrackedPort& memory_;
  std::uint64_t generation_ = 0;
  bool open_ = false;
};

WriteBehindCore::WriteBehindCore(StoragePort& durable, BackupPort& backup, TrackedPort& memory,
                                 WriteBehindOptions options)
    : durable_(durable),
      backup_(backup),
      memory_(memory),
      options_(checked(std::move(options))),
      random_(options_.seed),
      id_block_(first_block) {
  keeper_ = backup_.become_keeper(keeper_info(options_));
  try {
    memory_.track(*this, options_.max_unwritten);
    memory_.number_nodes_from((keeper_.value << node_bits) + 1);
    restore();
  } catch (...) {
    durable_.retire(keeper_);
    throw;
  }
  write_at_ = durable_.clock().steady() + options_.persistence_interval;
}

WriteBehindCore::~WriteBehindCore() {
  try {
    stop();
  } catch (const std::exception& e) {
    log_to(options_.log, LogLevel::error,
           fmt::format("the changes of about {} jobs are lost, since they could not be written: {}",
                       memory_.unwritten(), e.what()));
  }
}

void WriteBehindCore::restore() {
  constexpr std::size_t page = 1000;
  ImageChunk chunk;
  for (JobId after{};;) {
    chunk.jobs = backup_.read_images(after, page);
    if (chunk.jobs.empty()) break;
    after = chunk.jobs.back().job.id;
    memory_.restore(chunk);
  }
  chunk.clear();
  for (RecordKey after{};;) {
    chunk.records = backup_.read_records(after, page);
    if (chunk.records.empty()) break;
    after = {chunk.records.back().collection, chunk.records.back().key};
    memory_.restore(chunk);
  }
  chunk.clear();
  chunk.queues = durable_.queues();
  for (LimitStatus& limit : durable_.limits()) chunk.limits.push_back(std::move(limit.rule));
  memory_.restore(chunk);
  memory_.restored();
}

JobDurability WriteBehindCore::durability(std::string_view kind) const noexcept {
  const auto named = options_.kinds.find(kind);
  return named == options_.kinds.end() ? options_.durability : named->second;
}

JobId WriteBehindCore::reserve_ids(std::size_t count) {
  check_keeper();
  const std::lock_guard lock(ids_mutex_);
  if (ids_left_ < count || count == 0) {
    const std::uint64_t block = count == 0 ? 0 : std::max<std::uint64_t>(count, id_block_);  // 0 is refused
    next_id_ = durable_.reserve_ids(block).value;
    ids_left_ = block;
    id_block_ = std::min(id_block_ * 2, largest_block);
  }
  const JobId first{next_id_};
  next_id_ += count;
  ids_left_ -= count;
  return first;
}

void WriteBehindCore::check_keeper() const {
  if (!keeps()) throw KeeperLost(durable_.describe() + ": another process has taken it over; open it again");
}

void WriteBehindCore::enough_changed() noexcept {
  hurry_.store(true);
  if (ring_) ring_();
}

NextTick WriteBehindCore::tick(TimePoint now) noexcept {
  const SteadyTime steady = durable_.clock().steady();
  if (steady < write_at_ && !hurry_.exchange(false)) return {now + (write_at_ - steady)};
  hurry_.store(false);
  Duration wait = options_.persistence_interval;
  try {
    write();
  } catch (const KeeperLost& e) {
    log_to(options_.log, LogLevel::error, e.what());
    return {};
  } catch (const std::exception& e) {
    const int failures = status().failures;
    const auto backoff =
        RetryPolicy::exponential(std::chrono::milliseconds(100), std::chrono::seconds(10), 2.0, Jitter::equal)
            .delay(std::max(failures, 1), random_.next());
    wait = std::min(wait, backoff);
    // Said at once, and then ever more seldom.
    if ((failures & (failures - 1)) == 0)
      log_to(
          options_.log, LogLevel::error,
          fmt::format("the changes of about {} jobs could not be written ({} times in a row), trying again "
                      "in {}: {}",
                      memory_.unwritten(), failures, to_text(wait), e.what()));
  }
  write_at_ = steady + wait;
  return {now + wait};
}

void WriteBehindCore::write() {
  check_keeper();
  std::unique_lock lock(mutex_);
  if (stopped_)
    throw StorageError(durable_.describe() + ": no longer written to, since it was stopped", false);
  // A write under way may have begun before the last change: only one that begins from here on has it all.
  while (leading_) led_.wait(lock);
  if (memory_.unwritten() == 0) {
    written_at_ = durable_.clock().now();
    return;
  }
  lead(lock);
  if (error_) std::rethrow_exception(error_);
}

void WriteBehindCore::await(std::uint64_t generation) {
  std::unique_lock lock(mutex_);
  while (written_ < generation) {
    if (failed_ >= generation) {
      check_keeper();
      try {
        std::rethrow_exception(error_);
      } catch (const StorageError& e) {
        // One of its own for each thread; and whether it was recorded after all is not known.
        throw StorageError(e.what(), e.transient());
      }
    }
    if (stopped_)
      throw StorageError(durable_.describe() + ": no longer written to, since it was stopped", false);
    if (leading_) {
      led_.wait(lock);
    } else {
      lead(lock);
    }
  }
}

void WriteBehindCore::lead(std::unique_lock<std::mutex>& lock) noexcept {
  leading_ = true;
  lock.unlock();
  std::exception_ptr error;
  std::string text;
  std::uint64_t generation = 0;
  TimePoint moment{};
  {
    Capture capture(memory_);
    try {
      moment = durable_.clock().now();
      backup_.write_images(keeper_, capture);
      capture.end(true);
    } catch (const KeeperLost& e) {
      lost_.store(true);
      error = std::current_exception();
      text = e.what();
    } catch (const std::exception& e) {
      error = std::current_exception();
      text = e.what();
    }
    if (error && capture.generation() == 0) capture.rewind();  // so that those who wait are answered
    generation = capture.generation();
  }
  lock.lock();
  leading_ = false;
  error_ = error;
  error_text_ = std::move(text);
  if (error) {
    failed_ = generation;
    ++failures_;
  } else {
    written_ = generation;
    written_at_ = moment;
    failures_ = 0;
  }
  led_.notify_all();
}

void WriteBehindCore::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
  }
  std::exception_ptr error;
  try {
    write();
  } catch (...) {
    error = std::current_exception();
  }
  {
    std::unique_lock lock(mutex_);
    while (leading_) led_.wait(lock);
    stopped_ = true;
  }
  led_.notify_all();
  if (!lost_) durable_.retire(keeper_);
  if (error) std::rethrow_exception(error);
}

WriteBehindStatus WriteBehindCore::status() const {
  const std::size_t unwritten = memory_.unwritten();
  const std::lock_guard lock(mutex_);
  return {.unwritten = unwritten,
          .written_at = written_at_,
          .failures = failures_,
          .error = failures_ > 0 ? error_text_ : std::string()};
}

}  // namespace quern::inline v1::detail
