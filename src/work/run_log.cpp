#include "quern/work/detail/run_log.hpp"

#include <algorithm>
#include <cassert>
#include <utility>
#include <vector>

namespace quern::inline v1::detail {

void RunLog::drop_first() {
  waiting_.bytes -= log_bytes(lines_.front());
  --waiting_.lines;
  dropped_ += lines_.front().dropped + 1;
  lines_.pop_front();
}

void RunLog::add(JobLogLine line) {
  waiting_.bytes += log_bytes(line);
  ++waiting_.lines;
  lines_.push_back(std::move(line));
  // More can't be kept, whatever the occasion.
  const Size most{std::max<std::size_t>(1, options_.lines / 2),
                  std::max(options_.bytes / 2, options_.line_bytes)};
  while (!fits(waiting_, most) && lines_.size() > 1) drop_first();
}

void RunLog::earlier(const JobLog& log) {
  Size kept{log.lines.size(), 0};
  for (const JobLogLine& line : log.lines) kept.bytes += log_bytes(line);
  const auto half_left = [](std::size_t whole, std::size_t used) {
    return used >= whole ? 0 : (whole - used + 1) / 2;
  };
  room_ = Size{half_left(options_.lines, kept.lines), half_left(options_.bytes, kept.bytes)};
  // Several runs may have taken themselves for the last one; twice the whole is the end.
  if (kept.lines < 2 * options_.lines && kept.bytes < 2 * options_.bytes)
    last_room_ = {(options_.lines + 3) / 4, options_.bytes / 4};
}

std::optional<Step> RunLog::next(Epoch epoch, LogFlush when) {
  if (chunk_) return chunk_;
  if (lines_.empty()) return std::nullopt;
  assert(room_);
  const auto left = [](std::size_t whole, std::size_t used) { return whole - std::min(whole, used); };
  std::vector<JobLogLine> taken;
  Size size;
  if (when == LogFlush::run_goes_on) {
    const Size head{left((room_->lines + 1) / 2, written_.lines), left(room_->bytes / 2, written_.bytes)};
    while (!lines_.empty()) {
      const Size with{size.lines + 1, size.bytes + log_bytes(lines_.front())};
      if (!fits(with, head)) break;
      size = with;
      taken.push_back(std::move(lines_.front()));
      lines_.pop_front();
    }
    waiting_ = {waiting_.lines - size.lines, waiting_.bytes - size.bytes};
  } else {
    Size tail{left(room_->lines, written_.lines), left(room_->bytes, written_.bytes)};
    if (when == LogFlush::job_ends)
      tail = {std::max(tail.lines, last_room_.lines), std::max(tail.bytes, last_room_.bytes)};
    while (!lines_.empty() && !fits(waiting_, tail)) drop_first();
    size = std::exchange(waiting_, {});
    taken.assign(std::make_move_iterator(lines_.begin()), std::make_move_iterator(lines_.end()));
    lines_.clear();
  }
  if (taken.empty()) return std::nullopt;
  taken.front().dropped = std::exchange(dropped_, 0);
  written_ = {written_.lines + size.lines, written_.bytes + size.bytes};
  chunk_ = log_step(epoch, ++chunks_, taken);
  return chunk_;
}

void RunLog::saved() { chunk_.reset(); }

void RunLog::drop() noexcept {
  lines_.clear();
  waiting_ = {};
  chunk_.reset();
}

}  // namespace quern::inline v1::detail
