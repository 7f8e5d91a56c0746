// What happens in the process of an isolated job.
#if defined(__linux__)
#include "isolation_runner.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <fstream>
#include <mutex>
#include <new>
#include <string>

#include "isolation_wire.hpp"
#include "quern/work/detail/run_end.hpp"
#include "quern/work/detail/run_state.hpp"

namespace quern::inline v1::detail {
namespace {

/// Of a runner that can't even begin.
constexpr int exit_broken = 70;
/// For the thread that hears the host; stop callbacks of handlers run on it, too.
constexpr std::size_t listener_stack = std::size_t{1} << 20U;

std::atomic<bool> memory_ran_out{false};

void on_no_memory() {
  if (!memory_ran_out.exchange(true)) {
    // Among the last lines of the process, if it does not survive this. Nothing here may allocate.
    constexpr std::string_view note = "quern: no memory is left within the limit of this attempt\n";
    static_cast<void>(!::write(STDERR_FILENO, note.data(), note.size()));
  }
  throw std::bad_alloc();
}

/// The way to the host's thread: requests are answered one by one, stops come at any time.
class HostChannel {
 public:
  explicit HostChannel(Fd socket) : socket_(std::move(socket)) {}

  /// How long a message to the host may be.
  void bound(std::size_t longest) noexcept { longest_ = longest; }

  template <class T>
  void send(MessageType type, const T& message) {
    const std::string frame = frame_of(type, message, longest_);
    const std::lock_guard lock(send_mutex_);
    if (said_all_) return;  // by a thread that the handler has left behind
    said_all_ = type == MessageType::result;
    // Who is not heard any more need not go on.
    if (!send_all(socket_.get(), frame.data(), frame.size())) ::_exit(exit_broken);
  }

  /// The next message, on the calling thread. The process ends when the host has gone.
  [[nodiscard]] Message receive() {
    while (true) {
      if (auto message = reader_.next()) return std::move(*message);
      std::array<char, 65536>
          buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
      const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) ::_exit(exit_broken);
      reader_.add({buffer.data(), static_cast<std::size_t>(got)});
    }
  }

  /// From now on `state` is told of stops, by a thread that also hears the answers.
  void listen(RunState& state) {
    state_ = &state;
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, listener_stack);
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread{};
    const int error = ::pthread_create(
        &thread, &attributes,
        [](void* self) -> void* {
          static_cast<HostChannel*>(self)->hear();
          return nullptr;
        },
        this);
    ::pthread_attr_destroy(&attributes);
    if (error != 0) throw Error("the runner's listening thread could not be made");
  }

  /// What comes next but for stops.
  [[nodiscard]] Message answer() {
    std::unique_lock lock(answers_mutex_);
    answered_.wait(lock, [&] { return !answers_.empty(); });
    Message message = std::move(answers_.front());
    answers_.pop_front();
    return message;
  }

 private:
  void hear() noexcept {
    while (true) {
      Message message = receive();
      if (message.type == MessageType::stop) {
        state_->request_stop(std::move(message).as<StopMessage>().reason);
        continue;
      }
      {
        const std::lock_guard lock(answers_mutex_);
        answers_.push_back(std::move(message));
      }
      answered_.notify_one();
    }
  }

  const Fd socket_;
  std::size_t longest_ = 0;
  MessageReader reader_{UINT32_MAX};  // the host may send what it likes
  std::mutex send_mutex_;
  bool said_all_ = false;
  RunState* state_ = nullptr;
  std::mutex answers_mutex_;
  std::condition_variable answered_;
  std::deque<Message> answers_;
};

/// What the engine is to a run, by way of the host's thread.
class ChildPort final : public RunPort {
 public:
  ChildPort(HostChannel& channel, JobLimits limits) : channel_(channel), limits_(limits) {}

  RunCheck save_step(const RunRef& /*run*/, const Step& step) override {
    channel_.send(MessageType::save_step, StepMessage{step.name, step.value.text()});
    return wait().what == Answered::lost ? RunCheck::lost : RunCheck::held;
  }
  std::vector<Step> steps(JobId /*id*/) override {
    channel_.send(MessageType::find_steps, StopMessage{});
    std::vector<Step> steps;
    while (true) {
      Message message = channel_.answer();
      if (message.type != MessageType::step) {
        static_cast<void>(checked(std::move(message).as<AnswerMessage>()));
        return steps;
      }
      StepMessage step = std::move(message).as<StepMessage>();
      steps.push_back({std::move(step.name), Payload::json(std::move(step.value))});
    }
  }
  void number(NewJob& job) override {
    check_json(job.payload, "payload", limits_);  // the rest is short, or the host says what is wrong with it
    channel_.send(MessageType::then_job, message_of(job));
    job.id = {wait().id};
  }
  [[nodiscard]] const JobLimits& limits() const override { return limits_; }

 private:
  [[nodiscard]] AnswerMessage wait() { return checked(channel_.answer().as<AnswerMessage>()); }
  static AnswerMessage checked(AnswerMessage answer) {
    switch (answer.what) {
      case Answered::done:
      case Answered::lost:
        return answer;
      case Answered::invalid:
        throw InvalidArgument(answer.field, answer.message);
      case Answered::storage:
        throw StorageError(answer.message, answer.transient);
      case Answered::run_lost:
        throw RunLost(answer.message);
      case Answered::other_error:
        break;
    }
    throw Error(answer.message);
  }

  HostChannel& channel_;
  const JobLimits limits_;
};

class ChildRun final : public RunState {
 public:
  ChildRun(Claim claim, RunPort& port, HostChannel& channel, std::optional<LogLevel> least_logged)
      : RunState(std::move(claim), port), channel_(channel), least_logged_(least_logged) {}
  void report(int percent, std::string_view message) override {
    RunState::report(percent, message);
    if (auto last = fetch_report())
      channel_.send(MessageType::progress, ProgressMessage{last->percent, std::move(last->message)});
  }
  void log(LogLevel level, std::string_view message, std::span<const LogField> fields) override {
    if (!least_logged_ || level < *least_logged_) return;
    redacted(message, fields, [&](std::string_view shown, std::span<const LogField> shown_fields) {
      channel_.send(MessageType::log, message_of(level, shown, shown_fields));
    });
  }

 private:
  HostChannel& channel_;
  const std::optional<LogLevel> least_logged_;
};

void set_limit(__rlimit_resource resource, rlim_t soft, rlim_t hard) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return;
  limit.rlim_max = std::min(limit.rlim_max, hard);  // what the host itself may not have, nobody gets
  limit.rlim_cur = std::min(soft, limit.rlim_max);
  ::setrlimit(resource, &limit);
}

std::uint64_t mapped_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t pages = 0;
  if (!(file >> pages)) throw Error("/proc/self/statm can't be read, which the memory limit needs");
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

void apply(const IsolationLimits& limits) {
  set_limit(RLIMIT_CORE, 0, 0);
  if (limits.cpu_time > Duration::zero()) {
    const auto seconds =
        static_cast<rlim_t>(std::chrono::ceil<std::chrono::seconds>(limits.cpu_time).count());
    set_limit(RLIMIT_CPU, seconds, seconds + 1);
  }
  if (limits.memory_bytes > 0) {
    ::mallopt(M_ARENA_MAX, 1);  // each arena more reserves 64 MiB of addresses, used or not
    set_limit(RLIMIT_AS, mapped_bytes() + limits.memory_bytes, RLIM_INFINITY);
    std::set_new_handler(on_no_memory);
  }
}

/// So that what is left to be said can be said.
void lift_memory_limit() {
  std::set_new_handler(nullptr);
  set_limit(RLIMIT_AS, RLIM_INFINITY, RLIM_INFINITY);
}

/// Where a machine has no memory left, the kernel shall take this process first, and not the host's.
void offer_to_the_kernel() noexcept {
  const Fd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (file) static_cast<void>(!::write(file.get(), "1000", 4));
}

/// A handler that calls `exit` must not run what the host has registered for its own end: that would happen
/// twice.
void leave_at_exit() {
#if defined(__GLIBC__)
  ::on_exit(
      [](int code, void* /*unused*/) {
        std::fflush(nullptr);
        ::_exit(code);
      },
      nullptr);
#else
  std::atexit([] {
    std::fflush(nullptr);
    ::_exit(exit_broken);
  });
#endif
}

void run_job(Fd socket, const HandlerRegistry& handlers) {
  HostChannel channel(std::move(socket));
  auto begin = channel.receive().as<BeginMessage>();
  const JobLimits limits = limits_of(begin.limits);
  channel.bound(longest_message(limits));
  ChildPort port(channel, limits);
  ChildRun run(claim_of(std::move(begin.claim)), port, channel, begin.least_logged);
  run.set_trace(std::move(begin.trace));
  const HandlerRegistry::Entry* const entry = handlers.find(run.claim().kind);
  if (entry == nullptr) throw Error("the fork server was started without a handler of this kind");
  name_process(run.claim().kind.c_str());
  leave_at_exit();
  channel.listen(run);
  apply(entry->options.limits);

  const JobResult result = run_handler(handlers, *entry, run, limits);
  lift_memory_limit();
  if (result.outcome() == Outcome::completed)
    for (Record& record : run.take_records())
      channel.send(MessageType::then_record,
                   RecordMessage{std::move(record.collection), std::move(record.key), record.value.text()});
  ResultMessage message = message_of(result);
  // The host does not know what the handler has named secret.
  message.message = clean_message(run.redactor().redact(result.message()));
  if (message.outcome == Outcome::failed && memory_ran_out)
    message.message +=
        fmt::format(": no memory was left within its limit of {} bytes", entry->options.limits.memory_bytes);
  channel.send(MessageType::result, message);
  std::fflush(nullptr);
  ::_exit(0);  // neither destructors nor what the host has registered for its own end
}

}  // namespace

void reset_signals() noexcept {
  struct sigaction usual{};
  usual.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction set{};
    if (::sigaction(signal, nullptr, &set) != 0) continue;
    const bool ignored = (set.sa_flags & SA_SIGINFO) == 0 && set.sa_handler == SIG_IGN;
    if (!ignored || signal == SIGCHLD) ::sigaction(signal, &usual, nullptr);
  }
  struct sigaction nothing{};
  nothing.sa_handler = [](int) {};
  nothing.sa_flags = SA_RESTART;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) ::sigaction(signal, &nothing, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void name_process(const char* name) noexcept { ::prctl(PR_SET_NAME, name); }

void end_with_parent(int parent) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);  // it has ended before
}

void run_runner(Fd line, const HandlerRegistry& handlers) noexcept {
  ReceivedFds job = receive_fds(line.get());
  if (job.end) ::_exit(0);
  if (job.count < 2) ::_exit(exit_broken);
  line.reset();
  ::dup2(job.fds[1].get(), STDERR_FILENO);
  job.fds[1].reset();
  if (const Fd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC)); nothing)
    ::dup2(nothing.get(), STDIN_FILENO);
  offer_to_the_kernel();
  try {
    run_job(std::move(job.fds[0]), handlers);
  } catch (const std::exception& e) {
    const std::string note = fmt::format("quern: the runner failed: {}\n", e.what());
    static_cast<void>(!::write(STDERR_FILENO, note.data(), note.size()));
  } catch (...) {
  }
  ::_exit(exit_broken);
}

}  // namespace quern::inline v1::detail
#endif
