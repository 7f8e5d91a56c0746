#include "storage/postgres/listener.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <optional>
#include <utility>

namespace quern::inline v1::postgres {
namespace {

using namespace std::chrono_literals;

const Statement look_for_others{
    "SELECT o.snapshot, o.changed, pg_snapshot_xmin(o.snapshot::pg_snapshot)::text, "
    "pg_snapshot_xmax(o.snapshot::pg_snapshot)::text FROM @.others($1, $2::text::pg_snapshot) o"};

/// How often a connection on which nothing comes is asked whether it still answers, and how long it may take.
constexpr Duration probe_pause = 10s;
constexpr Duration probe_patience = 5s;
/// Between two looks for transactions that have not ended.
constexpr Duration least_look_pause = 1ms;
constexpr Duration most_look_pause = 1s;
/// Between two attempts to connect.
constexpr Duration least_connect_pause = 50ms;
constexpr int most_doublings = 7;

}  // namespace

/// What one connection has to do.
class Listener::Watch {
 public:
  Watch(Listener& owner, Connection& connection) : owner_(owner), connection_(connection) {
    connection_.script(fill_in("LISTEN \"@channel\"", owner_.server_.schema), patience());
    heard_at_ = SystemClock().steady();
  }

  /// Sleeps, hears and looks once.
  void turn() {
    SteadyTime until = heard_at_ + probe_pause;
    if (horizon_) until = std::min(until, look_at_);
    owner_.sleep(PQsocket(connection_.handle()), until);
    if (owner_.stopping_) return;
    take_notices();
    take_wish();
    const SteadyTime now = SystemClock().steady();
    if (horizon_ && now >= look_at_) look(now);
    if (now >= heard_at_ + probe_pause) {
      connection_.script("SELECT 1", patience());
      heard_at_ = SystemClock().steady();
    }
    // What came while something else was asked.
    take_notices();
  }

 private:
  [[nodiscard]] SteadyTime patience() const {
    return SystemClock().steady() + std::min(probe_patience, owner_.server_.call_timeout);
  }

  void take_notices() {
    if (PQconsumeInput(connection_.handle()) == 0)
      throw ConnectionLost(one_line(PQerrorMessage(connection_.handle())), false);
    bool foreign = false;
    while (PGnotify* const notice = PQnotifies(connection_.handle())) {
      foreign = foreign || std::to_string(owner_.origin_) != notice->extra;
      PQfreemem(notice);
    }
    if (foreign) owner_.tell_();
  }

  void take_wish() {
    std::string since;
    {
      const std::lock_guard lock(owner_.mutex_);
      since.swap(owner_.since_);
    }
    if (since.empty()) return;
    // An older look that has not ended covers what this one would; it only has to go on for longer.
    if (!horizon_) seen_ = std::move(since);
    new_wish_ = true;
    horizon_ = horizon_.value_or(0);
    pause_ = least_look_pause;
    look_at_ = SystemClock().steady();
  }

  void look(SteadyTime now) {
    const Result answer =
        connection_.run(look_for_others, Params().add(owner_.origin_).add_text(seen_), patience());
    seen_ = answer.string(0, 0);
    if (answer.truth(0, 1)) owner_.tell_();
    // The mark has been committed by now: transactions that begin from here on see it.
    if (std::exchange(new_wish_, false)) horizon_ = answer.id(0, 3);
    if (answer.id(0, 2) >= *horizon_) {
      horizon_.reset();
      return;
    }
    look_at_ = now + pause_;
    pause_ = std::min(pause_ * 2, most_look_pause);
  }

  Listener& owner_;
  Connection& connection_;
  SteadyTime heard_at_{};
  std::optional<std::uint64_t> horizon_;  ///< Looks go on until all transactions before it have ended.
  bool new_wish_ = false;
  std::string seen_;
  SteadyTime look_at_{};
  Duration pause_ = least_look_pause;
};

Listener::Listener(const Server& server, std::int64_t origin, std::function<void()> tell)
    : server_(server), origin_(origin), tell_(std::move(tell)), random_(Random::entropy()) {
  if (::pipe(bell_.data()) != 0) return;  // nothing to be had: who wants to know asks
  for (const int end : bell_) {
    ::fcntl(end, F_SETFD, FD_CLOEXEC);
    ::fcntl(end, F_SETFL, O_NONBLOCK);
  }
  // A host's handlers are not for our thread, but for faults of the thread itself.
  sigset_t blocked{};
  sigset_t before{};
  ::sigfillset(&blocked);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT})
    ::sigdelset(&blocked, fault);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::exception&) {
    listening_ = false;  // no thread to be had: likewise
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Listener::~Listener() {
  stopping_ = true;
  ring();
  if (thread_.joinable()) thread_.join();
  for (const int end : bell_) {
    if (end >= 0) ::close(end);
  }
}

void Listener::look_since(std::string snapshot) {
  {
    const std::lock_guard lock(mutex_);
    if (since_.empty()) since_ = std::move(snapshot);
  }
  ring();
}

void Listener::ring() const noexcept {
  const char byte = 0;
  // A full pipe has rung already.
  [[maybe_unused]] const auto written = ::write(bell_[1], &byte, 1);
}

void Listener::sleep(int socket, SteadyTime until) const {
  std::array<pollfd, 2> files{{{bell_[0], POLLIN, 0}, {socket, POLLIN, 0}}};
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - SystemClock().steady());
  ::poll(files.data(), files.size(), static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000)));
  std::array<char, 64> bytes{};
  while (::read(bell_[0], bytes.data(), bytes.size()) > 0) {
  }
}

void Listener::run() noexcept {
  int failures = 0;
  while (!stopping_) {
    try {
      Connection connection(server_, SystemClock().steady() + server_.connect_timeout);
      Watch watch(*this, connection);
      failures = 0;
      listening_.store(true, std::memory_order_release);
      tell_();  // whatever was notified before
      while (!stopping_) watch.turn();
    } catch (const std::exception&) {
      failures = std::min(failures + 1, most_doublings);  // while it does not listen, everybody has to ask
    }
    listening_.store(false, std::memory_order_release);
    if (stopping_) return;
    const std::int64_t pause = least_connect_pause.count() << failures;
    const SteadyTime until =
        SystemClock().steady() +
        Duration(pause / 2 + static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(pause))));
    while (!stopping_ && SystemClock().steady() < until) sleep(-1, until);
  }
}

}  // namespace quern::inline v1::postgres
