#include "quern/core/limits.hpp"

#include <fmt/format.h>

#include <set>

#include "core/utf8.hpp"
#include "quern/core/error.hpp"
#include "quern/core/trace_context.hpp"

namespace quern::inline v1 {
namespace {

void check_not_empty(std::string_view text, std::string_view field) {
  if (text.empty()) throw InvalidArgument(std::string(field), "is empty");
}

template <class T>
void check_range(T value, T least, T most, const char* field) {
  if (value < least || value > most) {
    throw InvalidArgument(field, fmt::format("is {}, allowed are {} to {}", value, least, most));
  }
}

void check_count(std::size_t count, std::size_t most, const char* field) {
  if (count > most) throw InvalidArgument(field, fmt::format("are {}, at most {} are allowed", count, most));
}

void check_tags(const NewJob& job, const JobLimits& limits) {
  check_count(job.tags.size(), limits.tags, "tags");
  for (std::size_t i = 0; i < job.tags.size(); ++i) {
    const auto field = fmt::format("tags[{}]", i);
    check_not_empty(job.tags[i], field);
    check_text(job.tags[i], field, limits.text_bytes);
  }
}

void check_parents(const NewJob& job, const JobLimits& limits) {
  check_count(job.parents.size(), limits.parents, "parents");
  std::set<JobId> seen;
  for (std::size_t i = 0; i < job.parents.size(); ++i) {
    const JobId parent = job.parents[i];
    const auto refuse = [i](const std::string& problem) {
      throw InvalidArgument(fmt::format("parents[{}]", i), problem);
    };
    if (!parent || parent.value > max_job_id) {
      refuse(fmt::format("is {}, allowed are 1 to {}", parent.value, max_job_id));
    }
    if (parent == job.id) refuse(fmt::format("is {}, the job itself", parent.value));
    if (!seen.insert(parent).second) refuse(fmt::format("is {}, which is named twice", parent.value));
  }
}

}  // namespace

void check_text(std::string_view text, std::string_view field, std::size_t max_bytes) {
  if (text.size() > max_bytes) {
    throw InvalidArgument(std::string(field),
                          fmt::format("has {} bytes, at most {} are allowed", text.size(), max_bytes));
  }
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] >= ' ' && text[at] <= '~') {  // nearly always
      ++at;
      continue;
    }
    const auto c = detail::first_character(text.substr(at));
    if (!c.well_formed) {
      throw InvalidArgument(std::string(field), fmt::format("is not UTF-8: the fault is at byte {}", at));
    }
    if (detail::is_control(c.code)) {
      throw InvalidArgument(std::string(field),
                            fmt::format("contains the control character U+{:04X} at byte {}",
                                        static_cast<unsigned>(c.code), at));
    }
    at += c.bytes;
  }
}

void check(const NewJob& job, const JobLimits& limits) {
  check_range(job.id.value, std::uint64_t{0}, max_job_id, "id");
  check_not_empty(job.kind, "kind");
  check_text(job.kind, "kind", limits.name_bytes);
  check_not_empty(job.queue, "queue");
  check_text(job.queue, "queue", limits.name_bytes);
  check_range(job.priority.level, Priority::most_urgent, Priority::least_urgent, "priority");
  check_range(job.max_attempts, 0, limits.max_attempts, "max_attempts");
  if (job.timeout < Duration::zero() || job.timeout > limits.max_timeout) {
    throw InvalidArgument("timeout", fmt::format("is {}, allowed are 0s to {}", to_text(job.timeout),
                                                 to_text(limits.max_timeout)));
  }
  check_text(job.tenant, "tenant", limits.text_bytes);
  check_tags(job, limits);
  check_text(job.unique.key, "unique.key", limits.key_bytes);
  if (job.unique.period < Duration::zero()) {
    throw InvalidArgument("unique.period",
                          fmt::format("is {}, it must not be negative", to_text(job.unique.period)));
  }
  check_parents(job, limits);
  check_text(job.created_by, "created_by", limits.text_bytes);
  check_text(job.digest, "digest", limits.text_bytes);
  if (!job.trace.empty() && !TraceContext::from_text(job.trace))
    throw InvalidArgument("trace",
                          "is no W3C trace context: allowed is a traceparent of version 00, as in "
                          "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\", and after a space a "
                          "tracestate; TraceContext::parse makes one of the headers");
  check_json(job.payload, "payload", limits);
}

void check_json(const Payload& payload, std::string_view field, const JobLimits& limits) {
  if (payload.codec() == nullptr) return check_json(payload.text(), field, limits);
  // Its strings and numbers were checked when it was packed.
  const auto facts = detail::packed_facts(payload.bytes());
  if (facts.depth > limits.json_depth) {
    throw InvalidArgument(
        std::string(field),
        fmt::format("is nested deeper than the {} levels that are allowed", limits.json_depth));
  }
  // Only near the limit is it worth making the text.
  if (facts.max_json_bytes > limits.payload_bytes && payload.text().size() > limits.payload_bytes) {
    throw InvalidArgument(std::string(field), fmt::format("has {} bytes, at most {} are allowed",
                                                          payload.text().size(), limits.payload_bytes));
  }
}

}  // namespace quern::inline v1
