#pragma once

#include <unistd.h>

#include <cstdio>
#include <mutex>
#include <string>

/// One line that shows how far something is: redrawn on a terminal, a line per change elsewhere. Thread-safe.
class ProgressBar {
 public:
  void show(int percent, const std::string& what) {
    const std::lock_guard lock(mutex_);
    if (percent == percent_ && what == what_) return;
    percent_ = percent;
    what_ = what;
    if (terminal_) {
      constexpr int width = 30;
      const auto full = static_cast<std::size_t>(percent * width / 100);
      std::fprintf(stderr, "\r\033[K[%s%s] %3d%% %.60s", std::string(full, '#').c_str(),
                   std::string(width - full, '.').c_str(), percent, what.c_str());
    } else {
      std::fprintf(stderr, "%3d%% %s\n", percent, what.c_str());
    }
  }
  /// Ends the bar's line, so that what follows begins on one of its own.
  void end() {
    const std::lock_guard lock(mutex_);
    if (terminal_ && percent_ >= 0) std::fputc('\n', stderr);
    percent_ = -1;
  }

 private:
  std::mutex mutex_;
  const bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  int percent_ = -1;
  std::string what_;
};
