#include "quern/work/flight_record.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <set>
#include <system_error>
#include <utility>

#include "quern/core/error.hpp"

namespace quern::inline v1 {
namespace detail {

// As it lies in the file, a line of the cache for each run.
struct alignas(64) FlightRecord::Slot {
  std::atomic<std::uint64_t> word;  ///< The run's generation, and in the last byte its state.
  std::atomic<std::uint64_t> id;
  std::atomic<std::uint64_t> node;
  std::atomic<std::uint64_t> claim;
  std::atomic<std::uint64_t> epoch;
};

namespace {

constexpr std::array<char, 8> magic{'q', 'u', 'e', 'r', 'n', 'f', 'l', '1'};
struct alignas(64) Head {
  std::array<char, 8> mark;
  std::uint64_t process;
};
static_assert(sizeof(Head) == 64 && sizeof(FlightRecord::Slot) == 64);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

enum State : std::uint8_t { nothing, claimed_only, running, crashed };

std::uint64_t word_of(TaskToken token, State state) noexcept { return (token >> 32U) << 8U | state; }

/// The run of this thread, for `note_crash`.
thread_local std::atomic<std::uint64_t>* running_word = nullptr;
thread_local std::uint64_t running_as = 0;

/// What this process has open: locks of files only keep other processes away.
std::mutex open_mutex;
std::set<std::pair<std::uint64_t, std::uint64_t>>& open_files() {
  static std::set<std::pair<std::uint64_t, std::uint64_t>> files;
  return files;
}

[[noreturn]] void refuse(const std::string& path, std::string_view problem) {
  throw InvalidArgument("flight_record", fmt::format("\"{}\" {}", path, problem));
}

/// Closes what was opened when a constructor ends early.
struct Opened {
  ~Opened() {
    if (file >= 0) ::close(file);
  }
  int file;
};

}  // namespace

FlightRecord::FlightRecord(const std::string& path, std::size_t slots) : slots_(slots) {
  Opened opened{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  const auto fail = [&](std::string_view what) {
    refuse(path, fmt::format("{}: {}", what, std::generic_category().message(errno)));
  };
  if (opened.file < 0) fail("can't be opened");
  struct stat facts{};
  if (::fstat(opened.file, &facts) != 0) fail("can't be read");
  // A lock of the process, which its children do not inherit.
  struct flock whole{};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  const std::pair name{static_cast<std::uint64_t>(facts.st_dev), static_cast<std::uint64_t>(facts.st_ino)};
  const std::lock_guard lock(open_mutex);
  if (open_files().contains(name)) {
    // Closing it would give up the lock that the other one counts on, so it stays open; it is one of few.
    opened.file = -1;
    refuse(path, "belongs to another processor of this process");
  }
  if (::fcntl(opened.file, F_SETLK, &whole) != 0) refuse(path, "belongs to another process");

  std::vector<char> before(static_cast<std::size_t>(std::min<off_t>(facts.st_size, off_t{64} * 200'000)));
  if (::pread(opened.file, before.data(), before.size(), 0) != static_cast<ssize_t>(before.size()))
    fail("can't be read");
  if (!before.empty() &&
      (before.size() < sizeof(Head) || std::memcmp(before.data(), magic.data(), magic.size()) != 0))
    refuse(path, "is no flight record, and is left as it is");
  const std::size_t bytes = sizeof(Head) + slots * sizeof(Slot);
  // All of it is written, since a hole on a full disk would be a SIGBUS later.
  const std::vector<char> empty(bytes);
  if (::ftruncate(opened.file, 0) != 0 ||
      ::pwrite(opened.file, empty.data(), bytes, 0) != static_cast<ssize_t>(bytes))
    fail("can't be written");
  void* const map = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, opened.file, 0);
  if (map == MAP_FAILED) fail("can't be mapped");
  map_ = map;
  const Head head{magic, static_cast<std::uint64_t>(::getpid())};
  std::memcpy(map_, &head, sizeof(head));

  if (!before.empty()) {
    Head old{};
    std::memcpy(&old, before.data(), sizeof(old));
    left_by_ = old.process;
  }
  for (std::size_t at = sizeof(Head); at + sizeof(Slot) <= before.size(); at += sizeof(Slot)) {
    std::array<std::uint64_t, 5> slot{};
    std::memcpy(slot.data(), before.data() + at, sizeof(slot));
    const auto state = static_cast<State>(slot[0] & 0xFFU);
    if (state == nothing) continue;
    Left left;
    left.ref = {.id = {slot[1]}, .epoch = static_cast<Epoch>(slot[4]), .node = {slot[2]}, .claim = slot[3]};
    left.running = state == running || state == crashed;
    left.crashed = state == crashed;
    left_.push_back(left);
  }
  file_ = std::exchange(opened.file, -1);
  std::tie(device_, inode_) = name;
  open_files().insert(name);
}

FlightRecord::~FlightRecord() {
  ::munmap(map_, sizeof(Head) + slots_ * sizeof(Slot));
  const std::lock_guard lock(open_mutex);
  open_files().erase({device_, inode_});
  ::close(file_);
}

FlightRecord::Slot* FlightRecord::slot_of(TaskToken token) const noexcept {
  const std::size_t place = (token & 0xFFFF'FFFFU) - 1;
  if (place >= slots_) return nullptr;
  auto* const bytes = static_cast<char*>(map_) + sizeof(Head) + place * sizeof(Slot);
  return reinterpret_cast<Slot*>(bytes);
}

void FlightRecord::claimed(TaskToken token, const RunRef& ref) noexcept {
  Slot* const slot = slot_of(token);
  if (slot == nullptr) return;
  // Who reads it after a death between two stores sees no run, and never half of one.
  slot->word.store(0, std::memory_order_release);
  slot->id.store(ref.id.value, std::memory_order_release);
  slot->node.store(ref.node.value, std::memory_order_release);
  slot->claim.store(ref.claim, std::memory_order_release);
  slot->epoch.store(ref.epoch, std::memory_order_release);
  slot->word.store(word_of(token, claimed_only), std::memory_order_release);
}

void FlightRecord::begin(TaskToken token) noexcept {
  Slot* const slot = slot_of(token);
  std::uint64_t before = word_of(token, claimed_only);
  // Another run may have the place, where this one was given up before a thread came to it.
  if (slot == nullptr || !slot->word.compare_exchange_strong(before, word_of(token, running))) return;
  running_as = word_of(token, running);
  running_word = &slot->word;
}

void FlightRecord::end(TaskToken token) noexcept {
  running_word = nullptr;
  std::uint64_t before = word_of(token, running);
  if (Slot* const slot = slot_of(token))
    slot->word.compare_exchange_strong(before, word_of(token, claimed_only));
}

void FlightRecord::clear() noexcept {
  for (std::size_t place = 0; place < slots_; ++place)
    slot_of(place + 1)->word.store(0, std::memory_order_release);
}

}  // namespace detail

void note_crash() noexcept {
  if (detail::running_word == nullptr) return;
  std::uint64_t before = detail::running_as;
  detail::running_word->compare_exchange_strong(before, (before & ~std::uint64_t{0xFF}) | detail::crashed);
}

}  // namespace quern::inline v1
