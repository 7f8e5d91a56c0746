// Jobs as another storage shows them, and as this one shows them to another.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "storage/node_capacity.hpp"
#include "storage/postgres/impl.hpp"
#include "storage/postgres/job_json.hpp"

namespace quern::inline v1 {

using postgres::Connection;

namespace {

const postgres::Statement keeper_lock{"SELECT pg_try_advisory_lock(1903522419, @lock)"};
const postgres::Statement new_keeper{
    "SELECT @.become_keeper(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6, $7, $8, $9, $10)"};
const postgres::Statement still_keeps{"SELECT @.keeps($1, $2)"};
const postgres::Statement put_jobs{
    "SELECT @.put_images(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6, $7::text::jsonb)"};
const postgres::Statement put_beside{"SELECT @.put_beside($1, $2, $3, $4, $5, $6, $7, $8)"};
const postgres::Statement jobs_after{
    "SELECT * FROM @.full_jobs(ARRAY(SELECT id FROM @.job WHERE id > $1 ORDER BY id LIMIT $2))"};
const postgres::Statement beside_jobs{"SELECT * FROM @.beside_jobs($1)"};
const postgres::Statement records_after{
    "SELECT collection, key, value FROM @.record WHERE (collection, key) > ($1 COLLATE \"C\", $2 COLLATE "
    "\"C\") ORDER BY collection, key LIMIT $3"};

std::int64_t bounded(std::size_t limit) {
  return static_cast<std::int64_t>(std::min<std::size_t>(limit, 100'000));
}

nlohmann::json ids_json(const std::vector<JobId>& ids) {
  auto json = nlohmann::json::array();
  for (const JobId id : ids) json.push_back(id.value);
  return json;
}

/// What is not set is null there.
class ImageJson {
 public:
  ImageJson(const JobImage& image, int lane) : image_(image), job_(image.job) {
    json_ = {{"id", job_.id.value},
             {"lane", lane},
             {"state", static_cast<int>(job_.state)},
             {"priority", job_.priority.level},
             {"max_attempts", job_.max_attempts},
             {"payload", job_.payload.text()},
             {"run_at", to_us(job_.run_at)},
             {"created_at", to_us(job_.created_at)},
             {"policy", static_cast<int>(job_.on_parent_failure)},
             {"run", job_.run},
             {"attempt", job_.attempt},
             {"epoch", job_.epoch},
             {"crashes", job_.crashes},
             {"snoozes", job_.snoozes},
             {"asked", job_.cancel_requested},
             {"reason", static_cast<int>(job_.dead_reason)}};
    add_time("deadline", job_.deadline);
    add_time("started_at", job_.started_at);
    add_time("finished_at", job_.finished_at);
    add_text("tenant", job_.tenant);
    add_text("created_by", job_.created_by);
    add_text("digest", job_.digest);
    add_text("trace", job_.trace);
    add_text("message", job_.end_message);
    add_text("cancel_reason", image_.cancel_reason);
    if (job_.timeout != Duration::zero()) json_["timeout"] = job_.timeout.count();
    if (!job_.tags.empty()) json_["tags"] = job_.tags;
    if (!job_.parents.empty()) json_["parents"] = ids_json(job_.parents);
    if (!image_.waits_for.empty()) json_["waits_for"] = ids_json(image_.waits_for);
    if (job_.result) json_["result"] = job_.result->text();
    if (job_.state == JobState::running) json_["allowed"] = image_.claimed_attempts;
    add_unique();
    add_lists();
    add_changed();
  }
  [[nodiscard]] nlohmann::json take() && { return std::move(json_); }

 private:
  void add_time(const char* name, const std::optional<TimePoint>& time) {
    if (time) json_[name] = to_us(*time);
  }
  void add_text(const char* name, const std::string& text) {
    if (!text.empty()) json_[name] = text;
  }
  void add_unique() {
    const Unique& unique = image_.unique;
    if (unique.key.empty()) return;
    json_["key"] = unique.key;
    json_["period"] = unique.period.count();
    json_["states"] = postgres::states_of(unique);
    json_["holds"] = image_.holds_key;
  }
  void add_lists() {
    for (const AttemptError& error : job_.errors)
      json_["errors"].push_back(
          {error.attempt, error.epoch, to_us(error.at), static_cast<int>(error.fault), error.message});
    for (const Step& step : image_.steps) json_["steps"].push_back({step.name, step.value.text()});
    if (job_.progress == Progress{} && image_.progress_epoch == 0) return;
    json_["percent"] = job_.progress.percent;
    json_["progress"] = job_.progress.message;
    json_["progress_epoch"] = image_.progress_epoch;
  }
  void add_changed() {
    const bool running = job_.state == JobState::running;
    const bool keeps_attempt = is_terminal(job_.state) || running;  // in another table
    json_["changed"] =
        job_.run != 1 || job_.crashes != 0 || job_.snoozes != 0 || !job_.errors.empty() ||
        (running && (job_.attempt != 1 || job_.epoch != 1)) ||
        (!keeps_attempt && (job_.attempt != 0 || job_.epoch != 0 || job_.started_at.has_value()));
    json_["was_attempt"] = job_.attempt - (running ? 1 : 0);
    json_["was_epoch"] = job_.epoch - (running ? 1U : 0U);
    if (!running) add_time("was_started_at", job_.started_at);
  }

  const JobImage& image_;
  const Job& job_;
  nlohmann::json json_;
};

/// What stands beside the jobs, of a chunk.
postgres::Params beside_of(const ImageChunk& chunk) {
  using Texts = std::vector<std::string_view>;
  Texts erased_collections;
  Texts erased_keys;
  Texts collections;
  Texts keys;
  Texts values;
  Texts queues;
  std::vector<bool> paused;
  std::vector<std::int64_t> limits;
  for (const RecordKey& key : chunk.erased_records) {
    erased_collections.push_back(key.collection);
    erased_keys.push_back(key.key);
  }
  for (const Record& record : chunk.records) {
    collections.push_back(record.collection);
    keys.push_back(record.key);
    values.push_back(record.value.text());
  }
  for (const QueueStatus& queue : chunk.queues) {
    queues.push_back(queue.name);
    paused.push_back(queue.paused);
    limits.push_back(static_cast<std::int64_t>(std::min(queue.max_waiting, max_job_id)));
  }
  postgres::Params params;
  for (const Texts* const texts : {&erased_collections, &erased_keys, &collections, &keys, &values, &queues})
    params.add_texts(std::span<const std::string_view>(*texts));
  params.add_bools(paused).add_longs(std::span<const std::int64_t>(limits));
  return params;
}

}  // namespace

/// The connection whose session says that this process keeps the jobs; again where it broke.
void PostgresStorage::Impl::hold_keeper_lock() {
  if (keeper_connection_ && !keeper_connection_->broken() && !keeper_connection_->hung_up()) return;
  keeper_connection_.reset();
  const SteadyTime until = deadline();
  auto connection = std::make_unique<Connection>(
      pool_.server(), std::min(until, SystemClock().steady() + options_.connect_timeout));
  if (!connection->run(keeper_lock, {}, until).truth(0, 0))
    throw StorageError(describe() +
                           ": another process keeps its jobs in memory and writes them behind; it must stop "
                           "before this one can",
                       true);
  keeper_connection_ = std::move(connection);
}

NodeId PostgresStorage::Impl::become_keeper(const NodeInfo& info) {
  if (options_.pooled)
    throw StorageError(describe() +
                           ": jobs can't be kept in memory behind a pooler, which ends sessions at "
                           "will; connect to the server itself",
                       false);
  const std::lock_guard lock(keeper_mutex_);
  const bool held = keeper_connection_ != nullptr;
  hold_keeper_lock();
  Params params = context(false);
  add_steady(params);
  const Duration lease = std::chrono::days(1);  // nobody asks for it while the session lives
  params.add(lease.count()).add(info.process).add(info.name).add(info.host).add(detail::pack_capacity(info));
  try {
    return NodeId{call(new_keeper, params, Again::safe).rows.id(0, 0)};
  } catch (...) {
    if (!held) keeper_connection_.reset();
    throw;
  }
}

void PostgresStorage::Impl::end_keeping(NodeId node) {
  const std::lock_guard lock(keeper_mutex_);
  if (!keeper_connection_) return;
  if (!call(still_keeps, Params().add(origin_).add(node.value), Again::safe).rows.truth(0, 0)) {
    // Not this one's any more: it was given up, or taken over.
    keeper_connection_.reset();
  }
}

void PostgresStorage::Impl::write_images(NodeId keeper, ImageSource& source) {
  const std::lock_guard lock(keeper_mutex_);
  const auto lost = [&] { return KeeperLost(describe() + ": another process keeps its jobs now"); };
  if (!keeper_connection_) throw lost();
  hold_keeper_lock();
  auto connection = pool_.take(deadline());
  const auto run = [&](const Statement& statement, const Params& params) {
    return connection->run(statement, params, deadline());
  };
  connection->script("BEGIN", deadline());
  try {
    if (!run(still_keeps, Params().add(origin_).add(keeper.value)).truth(0, 0)) throw lost();
    ImageChunk chunk;
    source.rewind();
    while (source.next(chunk)) {
      if (!chunk.erased.empty() || !chunk.jobs.empty()) {
        std::vector<std::int64_t> erased;
        for (const JobId id : chunk.erased) erased.push_back(static_cast<std::int64_t>(id.value));
        auto json = nlohmann::json::array();
        for (const JobImage& image : chunk.jobs)
          json.push_back(ImageJson(image, lane_number(image.job.queue, image.job.kind)).take());
        Params params = context(false);
        params.add(keeper.value).add((origin_ << 36U) + next_claim_++);
        params.add_longs(std::span<const std::int64_t>(erased)).add_text(postgres::dump(json));
        run(put_jobs, params);
      }
      if (!chunk.erased_records.empty() || !chunk.records.empty() || !chunk.queues.empty())
        run(put_beside, beside_of(chunk));
    }
    connection->script("COMMIT", deadline());
  } catch (...) {
    // The source may throw anything; a connection that broke has rolled back by itself.
    if (!connection->broken()) connection->script("ROLLBACK", deadline());
    throw;
  }
  fold();
}

std::vector<JobImage> PostgresStorage::Impl::read_images(JobId after, std::size_t limit) {
  if (after.value >= max_job_id) return {};
  const Result rows = read(jobs_after, Params().add(after.value).add(bounded(limit)));
  std::vector<JobImage> images;
  std::vector<std::int64_t> ids;
  std::unordered_map<std::uint64_t, std::size_t> places;
  for (int row = 0; row < rows.rows(); ++row) {
    JobImage& image = images.emplace_back();
    image.job = job_of(rows, row);
    ids.push_back(static_cast<std::int64_t>(image.job.id.value));
    places.emplace(image.job.id.value, images.size() - 1);
  }
  if (ids.empty()) return images;
  enum Column : int {
    id,
    period,
    states,
    holds,
    waits_for,
    allowed,
    cancel_reason,
    progress_epoch,
    saved_steps
  };
  const Result more = read(beside_jobs, Params().add_longs(std::span<const std::int64_t>(ids)));
  for (int row = 0; row < more.rows(); ++row) {
    const auto place = places.find(more.id(row, id));
    if (place == places.end()) continue;
    JobImage& image = images[place->second];
    image.unique.key = image.job.unique_key;
    image.unique.period = Duration(more.number(row, period));
    const int bits = more.small(row, states);
    image.unique.while_completed = (bits & 1) != 0;
    image.unique.while_dead = (bits & 2) != 0;
    image.unique.while_cancelled = (bits & 4) != 0;
    image.holds_key = more.truth(row, holds);
    if (image.job.state == JobState::blocked)
      image.waits_for = postgres::split_ids(more.text(row, waits_for));
    if (image.job.state == JobState::running) {
      image.claimed_attempts = more.small(row, allowed);
      image.cancel_reason = more.string(row, cancel_reason);
    }
    image.progress_epoch = static_cast<Epoch>(more.number(row, progress_epoch));
    if (more.null(row, saved_steps)) continue;
    for (const auto& step : nlohmann::json::parse(more.text(row, saved_steps)))
      image.steps.push_back({step.at(0).get<std::string>(), Payload::json(step.at(1).get<std::string>())});
  }
  return images;
}

std::vector<Record> PostgresStorage::Impl::read_records(const RecordKey& after, std::size_t limit) {
  const Result rows = read(records_after, Params().add(after.collection).add(after.key).add(bounded(limit)));
  std::vector<Record> records;
  for (int row = 0; row < rows.rows(); ++row)
    records.push_back({rows.string(row, 0), rows.string(row, 1), Payload::json(rows.string(row, 2))});
  return records;
}

}  // namespace quern::inline v1
