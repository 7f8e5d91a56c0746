#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/core/log.hpp"
#include "quern/core/secret.hpp"
#include "quern/http/audit_entry.hpp"
#include "quern/http/random_bytes.hpp"
#include "quern/storage/any_storage.hpp"

namespace quern::inline v1::http {

struct AuditOptions {
  /// With a key, at least 32 bytes, each entry has an HMAC-SHA256: whoever can write to the storage, but has no key, can forge none. Empty: without.
  Secret key{};
  /// Keys from before, which still prove entries.
  std::vector<Secret> old_keys{};
  /// The first entry that must have an HMAC: of a log that was begun without a key, the next after its checkpoint then.
  std::uint64_t keyed_from = 1;
  /// A change begins only when its entry is in the storage, and is refused (503) where that can't be had. Else it is noted when it is done,
  /// and a process that is killed may lose what it had not written.
  bool changes_wait = false;
  std::size_t most_waiting =
      10'000;  ///< Entries that wait for the storage; more are counted, and that is noted.
  std::uint32_t refusals_per_minute =
      120;           ///< More are counted, and that is noted. 0: none is written by itself.
  Duration keep{0};  ///< Older entries are dropped, by the tick. 0: none is.
};

/// What an AuditLog is about at present.
struct AuditStatus {
  std::size_t waiting = 0;       ///< Entries that are not written yet.
  std::uint64_t lost = 0;        ///< Since the log was made.
  std::uint64_t suppressed = 0;  ///< Refusals that were only counted, since the log was made.
  std::string error{};           ///< Why the last attempt to write failed; empty: it did not.
};

/// Who did what, as a chain of hashes in the storage (collection "quern.audit"), which all nodes lengthen together.
///
/// Chain    hash = SHA-256(hash of the entry before, in hexadecimal digits, and the entry's text as it stands), 64 zeros before the first;
///          mac = HMAC-SHA256(key, hash). A record is {"entry":{...},"hash":"...","mac":"..."}.
/// Append   entries, and the record that says where the chain ends, in one transaction by compare-and-set: no forks, no gaps. Those that
///          come together are written together.
/// Failure  what can't be written waits and is tried again; nothing is written twice, also where an answer was lost.
/// Proves   `verify` finds what was edited, deleted, swapped or inserted, where it was not the whole rest of the chain that was made anew.
///          Against that helps the key, and against a tail that was cut off together with the record of its end, a checkpoint kept
///          elsewhere: without one neither is to be seen.
/// Time     of entries, as handed in. Waits go by the steady clock.
/// Threads  every call may be made from any thread.
class AuditLog {
 public:
  /// The storage and the clock must outlive it. Throws InvalidArgument ("audit.key") for a short key.
  explicit AuditLog(StoragePort& storage, AuditOptions options = {}, ClockRef clock = {}, Logger log = {},
                    const RandomBytes& random = &system_random_bytes);
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;
  /// What waits is lost: call `flush` before.
  ~AuditLog();

  /// Adds an entry without waiting for the storage.
  void add(AuditEntry entry);
  /// The same for what was refused, which may be only counted.
  void add_refusal(AuditEntry entry);
  /// Adds an entry and returns when it, and all that was added before, is written. After a StorageError it goes on waiting.
  void write(AuditEntry entry);
  /// Writes all that waits. Throws StorageError.
  void flush();
  /// Writes what waits, notes what was counted, drops what is old. A storage that fails is told to the logger, once until it works again,
  /// and tried again later; does not throw StorageError.
  NextTick tick();

  [[nodiscard]] AuditStatus status() const;
  [[nodiscard]] bool changes_wait() const noexcept { return changes_wait_; }

  /// Up to `limit` (1 to 1000) entries with a number below `before` (0: all), newest first. Throws StorageError.
  [[nodiscard]] std::vector<AuditRecord> list(std::uint64_t before = 0, std::size_t limit = 100);
  /// Where the chain ends. Number 0: there is no entry.
  [[nodiscard]] AuditCheckpoint checkpoint();
  /// The first fault among the entries from `from` (0: the oldest) to `to` (0: the newest); none: all is as it was written. `known` are
  /// checkpoints from before, in the order of their numbers; those of entries that were dropped prove nothing any more. Reads all of them.
  [[nodiscard]] std::optional<AuditFault> verify(std::uint64_t from = 0, std::uint64_t to = 0,
                                                 std::span<const AuditCheckpoint> known = {});
  /// Gives the records as they stand, oldest first, each one line without its end: enough to verify them elsewhere.
  void export_lines(const std::function<void(std::string_view line)>& line, std::uint64_t from = 0);
  /// Drops up to `most` (1 to 1000) of the oldest entries, those before `time`, and gives how many. An entry is added that tells of it, which
  /// `verify` asks for. What is not as it was written stays, and all behind it.
  std::size_t drop(TimePoint time, std::size_t most = 500);

 private:
  struct Counted {
    std::uint64_t changes = 0;
    std::uint64_t refusals = 0;
  };
  [[nodiscard]] bool push(AuditEntry entry, bool refusal);
  void end_minute(SteadyTime now);
  void write_until(std::uint64_t ticket);
  void write_batch();
  void take_batch();
  void batch_done();
  [[nodiscard]] bool was_written();
  [[nodiscard]] AuditEntry note(std::string_view action, std::map<std::string, std::string> details) const;
  [[nodiscard]] std::string fault_of(std::uint64_t number, std::string_view text,
                                     std::string_view before) const;
  std::size_t drop_batch(TimePoint time, std::size_t most);
  void drop_old(SteadyTime now);

  StoragePort& storage_;
  const ClockRef clock_;
  const Logger log_;
  const bool changes_wait_;
  const std::size_t most_waiting_;
  const std::uint32_t refusals_per_minute_;
  const Duration keep_;
  const std::uint64_t keyed_from_;
  std::vector<std::string> keys_;  // the first one is for what is written; overwritten at the end
  const std::string writer_;       // of chance: no two entries are alike, whoever writes them

  mutable std::mutex mutex_;  // guards what follows; never held while the storage is asked
  std::deque<AuditEntry> waiting_;
  std::uint64_t added_ = 0;    // to `waiting_`, ever
  std::uint64_t written_ = 0;  // of those
  Counted lost_;               // not noted yet
  std::uint64_t lost_ever_ = 0;
  std::uint64_t suppressed_ever_ = 0;
  SteadyTime minute_{0};  // when it began
  std::uint32_t refusals_ = 0;
  std::map<std::string, std::uint64_t> suppressed_;  // in this minute, by status
  std::string error_;

  std::mutex writing_;  // taken before `mutex_`; guards what follows
  std::vector<AuditEntry> batch_;
  std::uint64_t batch_end_ = 0;              // `written_`, when the batch is
  std::uint64_t sequence_ = 0;               // of this writer's entries
  std::map<std::string, std::string> sent_;  // what the batch's first record may have become, by its key
  Duration backoff_{0};
  SteadyTime next_try_{0};
  SteadyTime next_drop_{0};
};

}  // namespace quern::inline v1::http
