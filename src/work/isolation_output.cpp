#if defined(__linux__)
#include "isolation_output.hpp"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace quern::inline v1::detail {
namespace {

/// What a runner can have left in its pipe at its end: more can only come from processes that it has left
/// behind.
constexpr std::size_t most_left = std::size_t{1} << 20U;

/// Where nobody reads it, it is dropped: the signal that comes with that must not reach the host.
void write_to_own_errors(std::string_view bytes) noexcept {
  sigset_t broken;
  sigset_t before;
  sigset_t pending;
  ::sigemptyset(&broken);
  ::sigaddset(&broken, SIGPIPE);
  ::sigpending(&pending);
  ::pthread_sigmask(SIG_BLOCK, &broken, &before);
  while (!bytes.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EPIPE && ::sigismember(&pending, SIGPIPE) == 0) {
      const timespec at_once{0, 0};
      ::sigtimedwait(&broken, nullptr, &at_once);
    }
    if (written <= 0) break;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

bool RunnerOutput::read() {
  std::array<char, 16384>
      buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  const ssize_t got = ::read(pipe_.get(), buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && errno == EAGAIN) return false;
  if (got <= 0) {
    pipe_.reset();
    return false;
  }
  take({buffer.data(), static_cast<std::size_t>(got)});
  return true;
}

void RunnerOutput::finish() {
  for (std::size_t i = 0; pipe_ && i < most_left / kept_bytes && read(); ++i) {
  }
  if (!line_.empty() && !line_long_) pass_on(line_);
  line_.clear();
  pipe_.reset();
}

void RunnerOutput::take(std::string_view piece) {
  last_ += piece;
  // Somewhat more, so that what is to be taken out of it is there as a whole.
  if (last_.size() > 4 * kept_bytes) last_.erase(0, last_.size() - 2 * kept_bytes);
  // Where nothing is to be taken out of it, it need not wait for the end of its line.
  if (!options_.on_line && redactor_.empty()) return write_to_own_errors(piece);
  while (!piece.empty()) {
    const std::size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    line_ += part.substr(0, longest_line - std::min(longest_line, line_.size()));
    if (line_.size() == longest_line && !line_long_) {
      pass_on(line_);
      line_long_ = true;
    }
    if (end == std::string_view::npos) return;
    if (!line_long_) pass_on(line_);
    line_.clear();
    line_long_ = false;
    piece.remove_prefix(end + 1);
  }
}

void RunnerOutput::pass_on(std::string_view line) const noexcept {
  if (!options_.on_line) return write_to_own_errors(redactor_.redact(line) + '\n');
  try {
    options_.on_line(job_, redactor_.redact(line));
  } catch (...) {  // as IsolationOptions says
  }
}

std::string RunnerOutput::last() const {
  const std::string clean = redactor_.redact(last_);
  std::string_view text = clean;
  if (text.size() > kept_bytes) {
    const bool whole = text[text.size() - kept_bytes - 1] == '\n';
    text = text.substr(text.size() - kept_bytes);
    const std::size_t line = text.find('\n');
    if (!whole && line != std::string_view::npos && line + 1 < text.size()) text.remove_prefix(line + 1);
  }
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  return std::string(text);
}

}  // namespace quern::inline v1::detail
#endif
