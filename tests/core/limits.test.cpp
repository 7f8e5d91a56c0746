#include "quern/core/limits.hpp"

#include <functional>
#include <string>
#include <vector>

#include "quern/core/error.hpp"
#include "support/catch.hpp"

using namespace quern;
using namespace std::chrono_literals;

namespace {

/// A JSON text of so many bytes. Made by hand: g++ 12 warns, wrongly, of the same made of string expressions.
Payload quoted(std::size_t bytes) {
  std::string text(bytes, 'p');
  text.front() = text.back() = '"';
  return Payload::json(std::move(text));
}

struct Note {
  std::string text;
  std::vector<std::vector<int>> numbers;
};
QUERN_FIELDS(Note, text, numbers)

/// What is wrong with a job that is right but for `edit`; empty when nothing is.
std::string refusal(const std::function<void(NewJob&)>& edit, const JobLimits& limits = {}) {
  NewJob job{.id = JobId{5}, .kind = "work"};
  edit(job);
  try {
    check(job, limits);
  } catch (const InvalidArgument& e) {
    CHECK(std::string(e.what()).starts_with(e.field() + ": "));
    return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("a job that uses every limit to the full is accepted", "[limits]") {
  CHECK(refusal([](NewJob&) {}).empty());
  CHECK(refusal([](NewJob& job) {
          job.id = JobId{max_job_id};
          job.kind = std::string(128, 'k');
          job.queue = std::string(128, 'q');
          job.payload = quoted(1U << 20U);
          job.priority = Priority{9};
          job.max_attempts = 1'000'000;
          job.timeout = 24h * 365;
          job.tenant = std::string(256, 't');
          job.tags.assign(32, std::string(256, 'g'));
          job.unique.key = std::string(JobLimits{}.key_bytes, 'u');
          job.unique.period = Duration::max();
          for (std::uint64_t i = 1; i <= 1000; ++i) job.parents.push_back(JobId{i + 5});
          job.created_by = std::string(256, 'c');
          job.digest = std::string(256, 'd');
        }).empty());
  CHECK(refusal([](NewJob& job) { job.id = {}; }).empty());  // the queue fills it in
}

TEST_CASE("each field that is outside its limit is refused by name", "[limits]") {
  struct Wrong {
    std::string field;
    std::function<void(NewJob&)> edit;
  };
  const std::vector<Wrong> all{
      {"id", [](NewJob& j) { j.id.value = max_job_id + 1; }},
      {"kind", [](NewJob& j) { j.kind.clear(); }},
      {"kind", [](NewJob& j) { j.kind = std::string(129, 'k'); }},
      {"kind", [](NewJob& j) { j.kind = "a\nb"; }},
      {"kind", [](NewJob& j) { j.kind = "a\xFF"; }},
      {"kind", [](NewJob& j) { j.kind = std::string("a\0", 2); }},
      {"queue", [](NewJob& j) { j.queue.clear(); }},
      {"queue", [](NewJob& j) { j.queue = std::string(129, 'q'); }},
      {"queue", [](NewJob& j) { j.queue.assign(1, '\x1B'); }},
      {"priority", [](NewJob& j) { j.priority = Priority{-1}; }},
      {"priority", [](NewJob& j) { j.priority = Priority{10}; }},
      {"max_attempts", [](NewJob& j) { j.max_attempts = -1; }},
      {"max_attempts", [](NewJob& j) { j.max_attempts = 1'000'001; }},
      {"timeout", [](NewJob& j) { j.timeout = -1us; }},
      {"timeout", [](NewJob& j) { j.timeout = 24h * 365 + 1us; }},
      {"tenant", [](NewJob& j) { j.tenant = std::string(257, 't'); }},
      {"tenant", [](NewJob& j) { j.tenant = "\xC2\x80"; }},
      {"tags", [](NewJob& j) { j.tags.assign(33, "t"); }},
      {"tags[1]", [](NewJob& j) { j.tags = {"good", ""}; }},
      {"tags[2]", [](NewJob& j) { j.tags = {"good", "good", std::string(257, 't')}; }},
      {"tags[0]", [](NewJob& j) { j.tags = {"\x7F"}; }},
      {"unique.key", [](NewJob& j) { j.unique.key = std::string(JobLimits{}.key_bytes + 1, 'u'); }},
      {"unique.key", [](NewJob& j) { j.unique.key = "\xED\xA0\x80"; }},
      {"unique.period", [](NewJob& j) { j.unique.period = -1us; }},
      {"parents", [](NewJob& j) { j.parents.assign(1001, JobId{1}); }},
      {"parents[1]", [](NewJob& j) { j.parents = {JobId{1}, JobId{1}}; }},
      {"parents[0]", [](NewJob& j) { j.parents = {JobId{5}}; }},
      {"parents[1]", [](NewJob& j) { j.parents = {JobId{1}, JobId{}}; }},
      {"parents[0]", [](NewJob& j) { j.parents = {JobId{max_job_id + 1}}; }},
      {"created_by", [](NewJob& j) { j.created_by = std::string(257, 'c'); }},
      {"digest", [](NewJob& j) { j.digest = "a\tb"; }},
      {"payload", [](NewJob& j) { j.payload = Payload::json(""); }},
      {"payload", [](NewJob& j) { j.payload = quoted((1U << 20U) + 2); }},
  };
  for (const auto& [field, edit] : all) {
    const auto message = refusal(edit);
    INFO(field << " -> " << message);
    CHECK(message.starts_with(field + ": "));
  }
}

TEST_CASE("a refusal says the value and what is allowed, and never a payload", "[limits]") {
  CHECK(refusal([](NewJob& j) { j.priority = Priority{12}; }) == "priority: is 12, allowed are 0 to 9");
  CHECK(refusal([](NewJob& j) { j.timeout = -2s; }) == "timeout: is -2s, allowed are 0s to 365d");
  CHECK(refusal([](NewJob& j) { j.kind = std::string(130, 'k'); }) ==
        "kind: has 130 bytes, at most 128 are allowed");
  CHECK(refusal([](NewJob& j) { j.parents = {JobId{7}, JobId{7}}; }) ==
        "parents[1]: is 7, which is named twice");
  for (const char* payload : {R"({"password": "secret)", R"({"secret": 1e999})", R"(["secret", secret])",
                              R"({"secret": 1, "secret": 2})", R"(["secret", 18446744073709551616])",
                              R"(["secret\u0000"])", "[\"secret\", \"\xFF\"]"}) {
    const auto message = refusal([&](NewJob& j) { j.payload = Payload::json(payload); });
    INFO(message);
    CHECK(message.starts_with("payload: "));
    CHECK(message.find("secret") == std::string::npos);
    CHECK(message.find("999") == std::string::npos);
    CHECK(message.find("(at byte ") != std::string::npos);
  }
}

TEST_CASE("the limits can be other ones", "[limits]") {
  JobLimits limits;
  limits.payload_bytes = 10;
  limits.name_bytes = 4;
  limits.parents = 0;
  CHECK(refusal([](NewJob& j) { j.queue = "four"; }, limits).empty());
  CHECK(refusal([](NewJob&) {}, limits).starts_with("queue: has 7 bytes"));
  CHECK(refusal([](NewJob& j) { j.queue = "four", j.parents = {JobId{1}}; }, limits)
            .starts_with("parents: are 1"));
  CHECK(refusal([](NewJob& j) { j.queue = "four", j.payload = Payload::json("[1,2,3,4,5]"); }, limits) ==
        "payload: has 11 bytes, at most 10 are allowed");
}

TEST_CASE("a struct with fields meets the limits of its JSON text, to the byte", "[limits]") {
  JobLimits limits;
  const auto refused = [&](const Note& note) {
    return refusal([&](NewJob& job) { job.payload = Payload::of(note); }, limits);
  };
  for (const Note& note : {Note{"plain", {}}, Note{std::string(50, '"'), {{1, 2}, {}}},
                           Note{std::string(50, '\x01'), {}}, Note{"é\n", {{-2147483647, 0, 1}}}}) {
    const std::size_t bytes = Payload::of(note).text().size();
    limits.payload_bytes = bytes;
    CHECK(refused(note).empty());
    limits.payload_bytes = bytes - 1;
    CHECK(refused(note) == "payload: has " + std::to_string(bytes) + " bytes, at most " +
                               std::to_string(bytes - 1) + " are allowed");
  }
  limits = {};
  const Note deep{"", {{}, {1}}};
  limits.json_depth = 3;
  CHECK(refused(deep).empty());
  limits.json_depth = 2;
  CHECK(refused(deep) == "payload: is nested deeper than the 2 levels that are allowed");
  CHECK(refused(Note{"", {}}).empty());
}
