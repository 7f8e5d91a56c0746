#pragma once

#include <pthread.h>
#include <signal.h>

#include <functional>
#include <thread>
#include <utility>

/// Calls `stop` once for each SIGINT or SIGTERM, on a thread of its own, where anything may be called. A
/// library must not touch its host's signals; a program may. Make it first thing in main: threads started
/// later inherit that these signals are blocked, so that only this one gets them.
class StopSignals {
 public:
  explicit StopSignals(std::function<void()> stop) {
    ::sigemptyset(&signals_);
    for (const int signal : {SIGINT, SIGTERM, SIGUSR2}) ::sigaddset(&signals_, signal);
    ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    thread_ = std::thread([signals = signals_, stop = std::move(stop)] {
      int signal = 0;
      while (::sigwait(&signals, &signal) == 0 && signal != SIGUSR2) stop();
    });
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals() {
    ::pthread_kill(thread_.native_handle(), SIGUSR2);  // this thread's own way to be told to end
    thread_.join();
  }

 private:
  sigset_t signals_{};
  std::thread thread_;
};
