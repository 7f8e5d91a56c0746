// The thread of the host's executor that waits for an isolated handler.
#if defined(__linux__)
#include "isolation_run.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <system_error>
#include <utility>

#include "isolation_output.hpp"
#include "isolation_wire.hpp"

namespace quern::inline v1::detail {
namespace {

/// How long what was killed may take to end.
constexpr Duration kill_patience = std::chrono::seconds(10);
/// How long a runner that has told its result may take to end by itself.
constexpr Duration end_patience = std::chrono::seconds(2);
/// After a stop: how often to look whether the engine has given the run up.
constexpr int look_ms = 50;
/// Before a job for which no process can be made is tried again.
constexpr Duration no_process_wait = std::chrono::seconds(5);

/// Why the process was killed by its host.
enum class Killed : std::uint8_t { no, ignored_stop, spoke_nonsense, lingered };

class IsolatedRun {
 public:
  IsolatedRun(ForkServer& server, const HandlerOptions& handler, RunState& state, const JobLimits& limits,
              Duration grace)
      : server_(server),
        handler_(handler),
        state_(state),
        limits_(limits),
        grace_(std::min(handler.limits.stop_grace, grace)),
        reader_(longest_message(limits)),
        output_(state.claim(), server.options(), state.redactor()) {}

  JobResult run(RunUsage& usage);

 private:
  bool start();
  void wait();
  void check_stop();
  void on_timer();
  bool read_channel();
  void flush_channel();
  void read_line();
  void handle(Message&& message);
  void log(const LogMessage& line);
  template <class Request>
  void answer(const Request& request);
  void send(std::string frame) {
    outgoing_ += frame;
    flush_channel();
  }
  void kill(Killed why);
  void arm(Duration after);
  [[nodiscard]] JobResult conclude();

  ForkServer& server_;
  const HandlerOptions& handler_;
  RunState& state_;
  const JobLimits& limits_;
  const Duration grace_;

  Fd channel_;
  Fd line_;
  Fd timer_;
  MessageReader reader_;
  std::string outgoing_;
  RunnerOutput output_;
  std::deque<std::string> last_lines_;  // that it has logged

  std::optional<JobResult> result_;
  std::optional<RunnerEnd> end_;
  bool server_died_ = false;
  bool stopped_ = false;  // and the runner was told so
  bool overdue_ = false;  // it does not end though it was killed
  Killed killed_ = Killed::no;
  std::string nonsense_{};
};

JobResult IsolatedRun::run(RunUsage& usage) {
  if (!start())
    return JobResult::snoozed(
        no_process_wait,
        "no process can be made for it: the fork server has gone, this program must be started anew");
  wait();
  if (end_) usage = {Duration(end_->cpu_us), static_cast<std::uint64_t>(end_->peak_bytes)};
  return conclude();
}

bool IsolatedRun::start() {
  FdPair channel = stream_pair();
  FdPair output = pipe_pair();
  FdPair line = packet_pair();
  timer_ = Fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer_) throw std::system_error(errno, std::generic_category(), "timerfd_create");
  set_non_blocking(channel.near.get());
  set_non_blocking(output.near.get());
  if (!server_.begin(channel.far, output.far, line.far)) return false;
  channel_ = std::move(channel.near);
  line_ = std::move(line.near);
  output_.read_from(std::move(output.near));
  return true;
}

void IsolatedRun::wait() {
  const Fd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) throw std::system_error(errno, std::generic_category(), "eventfd");
  const std::stop_callback on_stop(state_.stop_token(), [&stop] { ::eventfd_write(stop.get(), 1); });
  send(frame_of(
      MessageType::begin,
      BeginMessage{fields_of(state_.claim()), fields_of(limits_), state_.least_logged(), state_.trace()},
      UINT32_MAX));
  while (!end_ && !server_died_ && !overdue_) {
    const auto wanted = static_cast<short>(outgoing_.empty() ? POLLIN : POLLIN | POLLOUT);
    std::array<pollfd, 5> fds{{{stopped_ ? -1 : stop.get(), POLLIN, 0},
                               {timer_.get(), POLLIN, 0},
                               {killed_ == Killed::no ? channel_.get() : -1, wanted, 0},
                               {output_.fd(), POLLIN, 0},
                               {line_.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), stopped_ && killed_ == Killed::no ? look_ms : -1) < 0) {
      if (errno == EINTR) continue;
      throw std::system_error(errno, std::generic_category(), "poll");
    }
    check_stop();
    if (fds[1].revents != 0) on_timer();
    if (fds[3].revents != 0) output_.read();
    if ((fds[2].revents & POLLOUT) != 0) flush_channel();
    if ((fds[2].revents & (POLLIN | POLLHUP | POLLERR)) != 0) static_cast<void>(read_channel());
    if (fds[4].revents != 0) read_line();
  }
  // What it said last may still lie in the pipes.
  while (read_channel()) {
  }
  output_.finish();
}

void IsolatedRun::check_stop() {
  const StopReason reason = state_.stop_reason();
  if (reason != StopReason::none && !std::exchange(stopped_, true) && killed_ == Killed::no) {
    if (channel_) send(frame_of(MessageType::stop, StopMessage{reason}, UINT32_MAX));
    if (!result_) arm(grace_);
  }
  // The engine does not wait for it any more, so nobody does.
  if (state_.given_up() && killed_ == Killed::no) kill(Killed::ignored_stop);
}

void IsolatedRun::on_timer() {
  std::uint64_t times = 0;
  if (::read(timer_.get(), &times, sizeof(times)) != sizeof(times)) return;  // it was set anew meanwhile
  if (killed_ != Killed::no)
    overdue_ = true;
  else
    kill(stopped_ && !result_ ? Killed::ignored_stop : Killed::lingered);
}

void IsolatedRun::arm(Duration after) {
  const auto us = std::max<std::int64_t>(1, after.count());
  itimerspec at{};
  at.it_value = {static_cast<time_t>(us / 1'000'000), static_cast<long>(us % 1'000'000) * 1000};
  ::timerfd_settime(timer_.get(), 0, &at, nullptr);
}

void IsolatedRun::kill(Killed why) {
  // Nothing that it says counts any more. The channel stays open: a runner that sees its end exits by itself.
  killed_ = why;
  static_cast<void>(::send(line_.get(), &kill_runner, 1, MSG_NOSIGNAL | MSG_DONTWAIT));
  arm(kill_patience);
}

void IsolatedRun::flush_channel() {
  while (channel_ && !outgoing_.empty()) {
    const ssize_t sent =
        ::send(channel_.get(), outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;  // poll tells when there is room
    if (sent < 0) return outgoing_.clear();   // it has ended, which the line will say
    outgoing_.erase(0, static_cast<std::size_t>(sent));
  }
}

/// False: there was nothing to be read.
bool IsolatedRun::read_channel() {
  if (!channel_ || killed_ != Killed::no) return false;
  std::array<char, 65536>
      buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  const ssize_t got = ::recv(channel_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && errno == EAGAIN) return false;
  if (got <= 0) {
    channel_.reset();
    if (!result_ && !stopped_) arm(end_patience);  // it has ended, or soon will
    return false;
  }
  try {
    reader_.add({buffer.data(), static_cast<std::size_t>(got)});
    while (killed_ == Killed::no) {
      auto message = reader_.next();
      if (!message) break;
      handle(std::move(*message));
    }
  } catch (const InvalidArgument& e) {
    nonsense_ = e.what();
    kill(Killed::spoke_nonsense);
  }
  return true;
}

void IsolatedRun::read_line() {
  RunnerEnd end;
  const ssize_t got = ::recv(line_.get(), &end, sizeof(end), MSG_DONTWAIT);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got == sizeof(end))
    end_ = end;
  else
    server_died_ = true;
}

/// Does what `request` does, and sends how that went. What the runner can't have sent in good order is
/// nonsense; what a handler may have got wrong it is told.
template <class Request>
void IsolatedRun::answer(const Request& request) {
  AnswerMessage answer;
  try {
    request(answer);
  } catch (const InvalidArgument& e) {
    const std::string_view whole = e.what();
    answer.what = Answered::invalid;
    answer.field = e.field();
    answer.message = whole.substr(std::min(whole.size(), e.field().size() + 2));
  } catch (const StorageError& e) {
    answer.what = Answered::storage;
    answer.transient = e.transient();
    answer.message = e.what();
  } catch (const RunLost& e) {
    answer.what = Answered::run_lost;
    answer.message = e.what();
  } catch (const std::exception& e) {
    answer.what = Answered::other_error;
    answer.message = e.what();
  }
  answer.field = clean_message(answer.field);
  answer.message = clean_message(answer.message);
  send(frame_of(MessageType::answer, answer, UINT32_MAX));
}

void IsolatedRun::handle(Message&& message) {
  if (result_) throw InvalidArgument("message", "came after the result");
  switch (message.type) {
    case MessageType::progress: {
      const auto report = std::move(message).as<ProgressMessage>();
      state_.report(report.percent, report.message);
      return;
    }
    case MessageType::log:
      return log(std::move(message).as<LogMessage>());
    case MessageType::find_steps:
      return answer([&](AnswerMessage&) {
        const auto steps = state_.with_port([&](RunPort& port) { return port.steps(state_.claim().ref.id); });
        for (const Step& step : steps)
          if (!is_log_step(step))
            send(frame_of(MessageType::step, StepMessage{step.name, step.value.text()}, UINT32_MAX));
      });
    case MessageType::save_step: {
      auto step = std::move(message).as<StepMessage>();
      return answer([&](AnswerMessage& how) {
        const Step stored{std::move(step.name), Payload::json(std::move(step.value))};
        check_step_name(stored.name);
        check_text(stored.name, "step", limits_.text_bytes);
        check_json(stored.value, "step." + stored.name, limits_);
        const RunCheck check =
            state_.with_port([&](RunPort& port) { return port.save_step(state_.claim().ref, stored); });
        if (check == RunCheck::lost) how.what = Answered::lost;
      });
    }
    case MessageType::then_job: {
      NewJob job = job_of(std::move(message).as<JobMessage>());
      return answer([&](AnswerMessage& how) { how.id = state_.then(std::move(job)).value; });
    }
    case MessageType::then_record: {
      auto record = std::move(message).as<RecordMessage>();
      try {
        state_.then(Record{std::move(record.collection), std::move(record.key),
                           Payload::json(std::move(record.value))});
      } catch (const RunLost&) {  // then its result is dropped, too
      }
      return;
    }
    case MessageType::result: {
      JobResult result = result_of(std::move(message).as<ResultMessage>());
      if (result.result()) check_json(*result.result(), "result", limits_);
      result_.emplace(std::move(result));
      arm(end_patience);
      return;
    }
    case MessageType::begin:
    case MessageType::stop:
    case MessageType::step:
    case MessageType::answer:
      break;
  }
  throw InvalidArgument("message", fmt::format("is of type {}, which a runner does not send",
                                               static_cast<unsigned>(message.type)));
}

void IsolatedRun::log(const LogMessage& line) {
  constexpr std::size_t most = 5;
  constexpr std::size_t longest = 256;
  const std::vector<LogField> fields = fields_of(line);
  state_.log(line.level, line.message, fields);
  last_lines_.push_back(
      clean_message(to_text({.level = line.level, .message = line.message, .fields = fields}), longest));
  if (last_lines_.size() > most) last_lines_.pop_front();
}

JobResult IsolatedRun::conclude() {
  if (result_) return std::move(*result_);
  if (end_ && end_->error != 0)
    return JobResult::snoozed(no_process_wait, fmt::format("no process can be made for it: {}",
                                                           std::generic_category().message(end_->error)));
  // It may have ended by itself just before it was killed.
  const bool by_kill = !end_ || (WIFSIGNALED(end_->status) && WTERMSIG(end_->status) == SIGKILL);
  std::string why;
  if (killed_ == Killed::ignored_stop && by_kill)
    why = fmt::format("its process went on for {} after its stop and was killed", to_text(grace_));
  else if (killed_ == Killed::lingered && by_kill)
    why = "its process closed the way to its host and was killed";
  else if (killed_ == Killed::spoke_nonsense)
    why = fmt::format("its process sent what is no message ({}) and was killed", nonsense_);
  else if (server_died_)
    why = "its process was ended, since the fork server ended";
  else
    why = "its process " + describe_end(end_->status, handler_.limits);
  if (overdue_) why += "; it has not ended yet";
  if (!last_lines_.empty()) why += "; it has logged last:";
  for (const std::string& line : last_lines_) why += '\n' + line;
  if (const std::string last = output_.last(); !last.empty()) why += "; its last output:\n" + last;
  return JobResult::failed(clean_message(why));
}

}  // namespace

JobResult run_isolated(ForkServer& server, const HandlerOptions& handler, RunState& state,
                       const JobLimits& limits, Duration grace, RunUsage& usage) noexcept {
  try {
    return IsolatedRun(server, handler, state, limits, grace).run(usage);
  } catch (const std::system_error& e) {
    // No descriptors, mostly. Closing the line has ended what was begun.
    return JobResult::snoozed(no_process_wait, fmt::format("no process can be made for it: {}", e.what()));
  } catch (const std::exception& e) {
    return JobResult::failed(e.what());
  }
}

std::string describe_end(int status, const IsolationLimits& limits) {
  if (WIFEXITED(status)) return fmt::format("exited with code {} without a result", WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  const char* const name = ::sigabbrev_np(signal);
  const std::string killed = name != nullptr ? fmt::format("was killed by SIG{}", name)
                                             : fmt::format("was killed by signal {}", signal);
  const bool cpu = limits.cpu_time > Duration::zero();
  switch (signal) {
    case SIGXCPU:
      return cpu ? fmt::format("{}: it used up its {} of processor time", killed, to_text(limits.cpu_time))
                 : killed;
    case SIGSEGV:
    case SIGBUS:
      return killed + ": it used memory that is not its own, or its stack overflowed";
    case SIGKILL:
      return killed + (cpu ? ", by the kernel for its processor time or its memory, or by somebody"
                           : ", by the kernel for want of memory, or by somebody");
    default:
      return killed;
  }
}

}  // namespace quern::inline v1::detail
#endif
