// Jobs as this storage shows them to another one.
#include "storage/sqlite/find.hpp"
#include "storage/sqlite/images.hpp"
#include "storage/sqlite/job_more.hpp"
#include "storage/sqlite/reading.hpp"
#include "storage/sqlite/sql.hpp"
#include "storage/sqlite/sql_read.hpp"

namespace quern::inline v1::sqlite {
namespace {

/// What `find` does not say.
class ImageReader {
 public:
  explicit ImageReader(Connection& db) : db_(db), finder_(db), any_step_(db.exists(sql::any_step)) {}

  JobImage read(JobId id) {
    JobImage image;
    image.job = finder_.find(id).value();
    const Job& job = image.job;
    if (!job.unique_key.empty()) add_key(image);
    if (job.state == JobState::blocked) {
      Query parent = db_.query(sql::parents_of);
      parent.bind(id);
      while (parent.step()) image.waits_for.push_back(parent.id(0));
    }
    if (job.state == JobState::running) {
      image.claimed_attempts = finder_.running().at(id).max_attempts;
      if (job.cancel_requested) {
        Query reason = db_.query(sql::cancel_reason);
        if (reason.bind(id).step()) image.cancel_reason = reason.string(0);
      }
    }
    if (job.progress != Progress{})
      image.progress_epoch = static_cast<Epoch>(db_.value(sql::progress_epoch, id).value_or(0));
    if (any_step_) image.steps = steps(db_, id);
    return image;
  }

 private:
  void add_key(JobImage& image) {
    const JobId id = image.job.id;
    Query row = db_.query(sql::more_of_job);
    const auto more = row.bind(id).step() ? unpack_more(row.bytes(0)) : std::nullopt;
    if (!more) return;
    image.unique = more->unique;
    Query holder = db_.query(sql::key_owner);
    image.holds_key = holder.bind(more->unique.key).step() && holder.id(0) == id;
  }

  Connection& db_;
  Finder finder_;
  const bool any_step_;
};

}  // namespace

std::vector<JobImage> read_images(Connection& db, JobId after, std::size_t limit) {
  std::vector<JobId> ids;
  {
    Query row = db.query(sql::next_jobs);
    row.bind(after, static_cast<std::uint64_t>(limit));
    while (row.step()) ids.push_back(row.id(0));
  }
  ImageReader reader(db);
  std::vector<JobImage> images;
  images.reserve(ids.size());
  for (const JobId id : ids) images.push_back(reader.read(id));
  return images;
}

}  // namespace quern::inline v1::sqlite
