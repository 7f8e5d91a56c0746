#include "storage/sqlite/job_more.hpp"

#include "storage/sqlite/id_runs.hpp"

namespace quern::inline v1::sqlite {
namespace {

// Stored; only grows.
enum class Field : std::uint8_t {
  timeout = 1,
  tenant = 2,
  tag = 3,  // once per tag
  unique_key = 4,
  unique_period = 5,
  unique_states = 6,  // bits: completed, dead, cancelled
  parents = 7,
  on_parent_failure = 8,
  created_by = 9,
  digest = 10,
  trace = 11,
};

class Writer {
 public:
  void text(Field field, std::string_view text) {
    if (text.empty()) return;
    packer_.number(static_cast<std::uint64_t>(field));
    packer_.text(text);
  }
  void number(Field field, std::uint64_t value) {
    if (value == 0) return;
    Packer number;
    number.number(value);
    text(field, number.bytes());
  }
  [[nodiscard]] const std::string& bytes() const { return packer_.bytes(); }

 private:
  Packer packer_;
};

bool read_parents(std::string_view bytes, std::vector<JobId>& parents) {
  Unpacker reader(bytes);
  while (!reader.done()) parents.push_back(JobId{reader.number()});
  return reader.ok();
}

bool read_field(Field field, std::string_view bytes, JobMore& more) {
  Unpacker reader(bytes);
  switch (field) {
    case Field::timeout:
      more.timeout = Duration(static_cast<std::int64_t>(reader.number()));
      break;
    case Field::tenant:
      more.tenant = bytes;
      break;
    case Field::tag:
      more.tags.emplace_back(bytes);
      break;
    case Field::unique_key:
      more.unique.key = bytes;
      break;
    case Field::unique_period:
      more.unique.period = Duration(static_cast<std::int64_t>(reader.number()));
      break;
    case Field::unique_states: {
      const std::uint64_t bits = reader.number();
      more.unique.while_completed = (bits & 1U) != 0;
      more.unique.while_dead = (bits & 2U) != 0;
      more.unique.while_cancelled = (bits & 4U) != 0;
      break;
    }
    case Field::parents:
      return read_parents(bytes, more.parents);
    case Field::on_parent_failure:
      more.on_parent_failure = static_cast<ParentPolicy>(reader.number());
      break;
    case Field::created_by:
      more.created_by = bytes;
      break;
    case Field::digest:
      more.digest = bytes;
      break;
    case Field::trace:
      more.trace = bytes;
      break;
  }
  return reader.ok();
}

}  // namespace

bool JobMore::protects_key(JobState state) const noexcept {
  switch (state) {
    case JobState::completed:
      return unique.while_completed;
    case JobState::dead:
      return unique.while_dead;
    case JobState::cancelled:
      return unique.while_cancelled;
    default:
      return true;
  }
}

std::string pack_more(const NewJob& job, const std::vector<JobId>& parents) {
  Writer writer;
  writer.number(Field::timeout, static_cast<std::uint64_t>(job.timeout.count()));
  writer.text(Field::tenant, job.tenant);
  for (const std::string& tag : job.tags) writer.text(Field::tag, tag);
  if (!job.unique.key.empty()) {
    writer.text(Field::unique_key, job.unique.key);
    writer.number(Field::unique_period, static_cast<std::uint64_t>(job.unique.period.count()));
    writer.number(Field::unique_states, (job.unique.while_completed ? 1U : 0U) |
                                            (job.unique.while_dead ? 2U : 0U) |
                                            (job.unique.while_cancelled ? 4U : 0U));
  }
  if (!parents.empty()) {
    Packer packer;
    for (const JobId parent : parents) packer.number(parent.value);
    writer.text(Field::parents, packer.bytes());
  }
  writer.number(Field::on_parent_failure, static_cast<std::uint64_t>(job.on_parent_failure));
  writer.text(Field::created_by, job.created_by);
  writer.text(Field::digest, job.digest);
  writer.text(Field::trace, job.trace);
  return writer.bytes();
}

std::optional<JobMore> unpack_more(std::string_view bytes) {
  JobMore more;
  Unpacker reader(bytes);
  while (!reader.done()) {
    const std::uint64_t field = reader.number();
    const std::string_view value = reader.text();
    if (!reader.ok()) return std::nullopt;
    if (field == 0 || field > static_cast<std::uint64_t>(Field::trace)) continue;
    if (!read_field(static_cast<Field>(field), value, more)) return std::nullopt;
  }
  if (!reader.ok()) return std::nullopt;
  return more;
}

}  // namespace quern::inline v1::sqlite
