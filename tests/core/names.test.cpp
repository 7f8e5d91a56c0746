#include <set>
#include <string>

#include "quern/core/job_id.hpp"
#include "quern/core/job_state.hpp"
#include "quern/core/priority.hpp"
#include "quern/storage/observer.hpp"
#include "support/catch.hpp"

using namespace quern;

TEST_CASE("a job id is written in decimal digits and read back", "[names]") {
  for (const std::uint64_t value : {std::uint64_t{1}, std::uint64_t{42}, max_job_id}) {
    CHECK(parse_job_id(to_string(JobId{value})) == JobId{value});
  }
  CHECK(to_string(JobId{max_job_id}) == "9223372036854775807");
  for (const char* wrong : {"", "0", "-1", "+1", "01", " 1", "1 ", "1a", "0x1", "1.0", "9223372036854775808",
                            "18446744073709551616", "99999999999999999999999"}) {
    INFO(wrong);
    CHECK_FALSE(parse_job_id(wrong).has_value());
  }
  CHECK_FALSE(parse_job_id(std::string("1\0", 2)).has_value());
}

TEST_CASE("a job id that names no job is false", "[names]") {
  CHECK_FALSE(JobId{});
  CHECK(JobId{1});
  CHECK(std::hash<JobId>{}(JobId{7}) == std::hash<JobId>{}(JobId{7}));
}

TEST_CASE("every state has a name of its own that is read back", "[names]") {
  std::set<std::string_view> names;
  for (const JobState state : all_job_states) {
    names.insert(to_string(state));
    CHECK(parse_job_state(to_string(state)) == state);
  }
  CHECK(names.size() == all_job_states.size());
  CHECK(to_string(JobState::ready) == "ready");
  for (const char* wrong : {"", "Ready", "ready ", "unknown", "none"})
    CHECK_FALSE(parse_job_state(wrong).has_value());
}

TEST_CASE("the stored numbers of states and reasons never change", "[names]") {
  CHECK(static_cast<int>(JobState::blocked) == 1);
  CHECK(static_cast<int>(JobState::cancelled) == 7);
  CHECK(static_cast<int>(DeadReason::none) == 0);
  CHECK(static_cast<int>(DeadReason::snoozed_too_often) == 6);
  CHECK(is_terminal(JobState::completed));
  CHECK(is_terminal(JobState::dead));
  CHECK(is_terminal(JobState::cancelled));
  CHECK_FALSE(is_terminal(JobState::running));
}

TEST_CASE("every reason to be dead and every event has a name of its own", "[names]") {
  std::set<std::string_view> names;
  for (int i = 0; i <= 6; ++i) names.insert(to_string(static_cast<DeadReason>(i)));
  CHECK(names.size() == 7);
  CHECK(names.contains("none"));
  CHECK_FALSE(names.contains("unknown"));

  names.clear();
  for (int i = 0; i <= static_cast<int>(JobEventType::dead); ++i) {
    names.insert(to_string(static_cast<JobEventType>(i)));
    CHECK(to_string(static_cast<JobEventType>(i)).starts_with("job."));
  }
  CHECK(names.size() == 14);
  CHECK_FALSE(names.contains("job.unknown"));
  CHECK(to_string(JobEventType::progress_updated) == "job.progress_updated");
}

TEST_CASE("a priority is read by name or by number", "[names]") {
  CHECK(to_string(Priority::critical) == "critical");
  CHECK(to_string(Priority{}) == "normal");
  CHECK(to_string(Priority{9}) == "9");
  for (int level = 0; level <= 9; ++level) {
    CHECK(parse_priority(to_string(Priority{level})) == Priority{level});
    CHECK(parse_priority(std::to_string(level)) == Priority{level});
  }
  for (const char* wrong : {"", "10", "-1", "Normal", "urgent", " 1", "1 "}) {
    INFO(wrong);
    CHECK_FALSE(parse_priority(wrong).has_value());
  }
  CHECK(Priority::critical < Priority::low);
}
