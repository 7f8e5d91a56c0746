#include "quern/queue/job_log.hpp"

#include <fmt/format.h>

#include <cassert>

#include "quern/core/fields.hpp"

namespace quern::inline v1::detail {
namespace {

constexpr std::string_view log_steps = "quern.log.";
/// What a line or a field costs beside its texts.
constexpr std::size_t overhead = 32;

// As they are stored: short names, since there is one for each line.
struct StoredField {
  std::string k{};
  std::string v{};
};
QUERN_FIELDS(StoredField, k, v)
struct StoredLine {
  TimePoint t{};
  LogLevel l = LogLevel::info;
  std::string m{};
  std::vector<StoredField> f{};
};
QUERN_FIELDS(StoredLine, t, l, m, f)
struct StoredLines {
  int run = 1;
  int attempt = 1;
  std::uint64_t dropped = 0;
  std::vector<StoredLine> lines{};
};
QUERN_FIELDS(StoredLines, run, attempt, dropped, lines)

}  // namespace

bool is_log_step(const Step& step) noexcept { return step.name.starts_with(log_steps); }

Step log_step(Epoch epoch, std::size_t number, std::span<const JobLogLine> lines) {
  assert(!lines.empty());
  const JobLogLine& first = lines.front();
  StoredLines stored{first.run, first.attempt, first.dropped, {}};
  for (const JobLogLine& line : lines) {
    StoredLine& made = stored.lines.emplace_back(StoredLine{line.time, line.level, line.message, {}});
    for (const LoggedField& field : line.fields) made.f.push_back({field.key, field.value});
  }
  return {fmt::format("{}{}.{}", log_steps, epoch, number), Payload::of(stored)};
}

JobLog read_log(std::span<const Step> steps) {
  JobLog log;
  for (const Step& step : steps) {
    if (!is_log_step(step)) continue;
    auto stored = step.value.as<StoredLines>();
    log.dropped += stored.dropped;
    for (StoredLine& line : stored.lines) {
      JobLogLine& made = log.lines.emplace_back();
      made.time = line.t;
      made.level = line.l;
      made.run = stored.run;
      made.attempt = stored.attempt;
      made.message = std::move(line.m);
      made.dropped = std::exchange(stored.dropped, 0);
      for (StoredField& field : line.f) made.fields.push_back({std::move(field.k), std::move(field.v)});
    }
  }
  return log;
}

std::size_t log_bytes(const JobLogLine& line) noexcept {
  std::size_t bytes = line.message.size() + overhead;
  for (const LoggedField& field : line.fields) bytes += field.key.size() + field.value.size() + overhead;
  return bytes;
}

void check(const JobLogOptions& options) {
  const auto within = [](const char* field, std::size_t value, std::size_t least, std::size_t most) {
    if (value < least || value > most)
      throw InvalidArgument(field, fmt::format("is {}; allowed is {} to {}", value, least, most));
  };
  within("job_log.lines", options.lines, 0, 10'000);
  within("job_log.bytes", options.bytes, 0, std::size_t{256} * 1024);
  within("job_log.line_bytes", options.line_bytes, 64, 16'384);
  if (options.interval < std::chrono::milliseconds(1))
    throw InvalidArgument("job_log.interval",
                          fmt::format("is {}; allowed is 1ms or more", to_text(options.interval)));
}

}  // namespace quern::inline v1::detail
