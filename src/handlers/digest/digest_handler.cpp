#include "quern/handlers/digest/digest_handler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "quern/handlers/digest/analysis.hpp"
#include "quern/handlers/digest/record_response_cache.hpp"
#include "quern/handlers/digest/render.hpp"
#include "quern/handlers/notify/notification_handler.hpp"

namespace quern::inline v1::digest {
namespace {

constexpr auto first_period = std::chrono::days(30);
constexpr auto answers_kept = std::chrono::days(30);
constexpr std::string_view refusals_collection = "quern.digests.refusals";
constexpr std::string_view activity_file = "activity.json";

/// What the plan's step keeps.
struct Plan {
  std::int64_t from_us = 0;
  std::int64_t to_us = 0;
  std::int64_t began_us = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Plan, from_us, to_us, began_us)

std::string latest_key(const DigestJob& job) { return job.source + ":" + job.repository; }

std::optional<TimePoint> end_of_last(StoragePort& records, const DigestJob& job) {
  const auto latest = records.get_record(latest_collection, latest_key(job));
  if (!latest) return std::nullopt;
  return parse_rfc3339(latest->as<nlohmann::json>().value("to", std::string()));
}

Plan make_plan(const DigestServices& services, const DigestJob& job) {
  const TimePoint now = services.clock.now();
  const TimePoint to = job.to.value_or(now);
  const TimePoint from =
      job.from ? *job.from : end_of_last(services.records, job).value_or(to - first_period);
  check(Period{from, to});
  return {to_us(from), to_us(to), to_us(now)};
}

/// A stop is no failure of the source's.
JobResult stopped_or(JobContext& context, JobResult otherwise) {
  return context.stop_requested() ? JobResult::cancelled() : std::move(otherwise);
}

}  // namespace

int DigestHandler::refusals(JobContext& context) const {
  const auto record = services_.records.get_record(refusals_collection, to_string(context.id()));
  return record ? record->as<int>() : 0;
}

void DigestHandler::note_refusals(JobContext& context, int count) const {
  const std::string key = to_string(context.id());
  if (count == 0)
    services_.records.erase_record(refusals_collection, key);
  else
    services_.records.put_record({std::string(refusals_collection), key, Payload::of(count)});
}

RepositoryActivity DigestHandler::fetch(const DigestJob& job, const Period& period, TimePoint began,
                                        JobContext& context) const {
  // Fetching is most of the work: 5 to 85 percent of the bar.
  const auto progress = [&](int percent, std::string_view what) {
    context.progress(5 + percent * 80 / 100, what);
  };
  if (job.source == "clone")
    return GitSource(services_.clock, services_.git)
        .fetch(
            {.path = job.repository, .period = period, .stop = context.stop_token(), .progress = progress});
  RecordResponseCache cache(services_.records);
  cache.forget_before(began - answers_kept);
  GitHubClient client(services_.http, services_.clock, services_.github, &cache);
  return client.fetch({.repository = job.repository,
                       .period = period,
                       .reuse_since = began,
                       .earlier_refusals = refusals(context),
                       .stop = context.stop_token(),
                       .progress = progress});
}

JobResult DigestHandler::operator()(const DigestJob& job, JobContext& context) const {
  const std::string id = to_string(context.id());
  Plan plan;
  std::optional<RepositoryActivity> activity;
  try {
    plan = context.step("plan", [&] { return make_plan(services_, job); });
    context.progress(
        5, fmt::format("from {} to {}", to_rfc3339(from_us(plan.from_us)), to_rfc3339(from_us(plan.to_us))));
    // The step keeps that the artifact is whole; what was fetched may be larger than a step may be.
    context.step("fetch", [&] {
      activity = fetch(job, {from_us(plan.from_us), from_us(plan.to_us)}, from_us(plan.began_us), context);
      services_.artifacts.put(id, activity_file, nlohmann::json(*activity).dump());
    });
  } catch (const RateLimited& e) {
    note_refusals(context, refusals(context) + 1);
    return JobResult::snoozed(e.wait(), e.what());
  } catch (const GitHubError& e) {
    return e.transient() ? stopped_or(context, JobResult::failed(e.what())) : JobResult::discarded(e.what());
  } catch (const GitError& e) {
    return e.transient() ? stopped_or(context, JobResult::failed(e.what())) : JobResult::discarded(e.what());
  } catch (const HttpError& e) {
    return e.transient() || e.failure() == HttpFailure::aborted
               ? stopped_or(context, JobResult::failed(e.what()))
               : JobResult::discarded(e.what());
  } catch (const InvalidArgument& e) {
    return JobResult::discarded(e.what());
  }
  if (!activity) {
    const auto kept = services_.artifacts.get(id, activity_file);
    if (!kept)
      return JobResult::discarded(
          fmt::format("the fetched activity ({}/{}) is gone from the artifacts", id, activity_file));
    activity = Payload::json(*kept).as<RepositoryActivity>();
  }

  context.progress(88, "writing");
  const Period period{from_us(plan.from_us), from_us(plan.to_us)};
  const DigestReport report = analyze(*activity, job.filters);
  Digest digest{.id = id,
                .repository = report.repository.full_name,
                .period = period,
                .created_at = from_us(plan.began_us),
                .title = render_title(report),
                .summary = render_summary(report),
                .files = {"digest.md", "digest.html", "digest.json"},
                .recipients = {}};
  services_.artifacts.put(id, "digest.md", render_markdown(report));
  services_.artifacts.put(id, "digest.html", render_html(report));
  services_.artifacts.put(id, "digest.json", render_json(report));
  context.progress(96, "stored");

  // All of this appears with the completion, in one transaction, or not at all.
  std::set<std::string> told;
  for (const std::string& recipient : job.recipients) {
    if (!told.insert(recipient).second) continue;
    digest.recipients.push_back(recipient);
    const notify::NotifyJob notification{
        .recipient = recipient,
        .notification = {.id =
                             fmt::format("digest-{}-{}-{}", id, context.job().run, digest.recipients.size()),
                         .topic = "digest.ready",
                         .subject = digest.title,
                         .text = {},
                         .html = {},
                         .url = report.repository.url,
                         .data = nlohmann::json{{"digest", id}, {"summary", digest.summary}}.dump()},
        .artifact_owner = id,
        .text_artifact = "digest.md",
        .html_artifact = "digest.html"};
    context.then(notification, {.tags = context.job().tags, .parents = {context.id()}, .digest = id});
  }
  context.then(Record{std::string(digests_collection), id, Payload::of(digest)});
  const auto last = end_of_last(services_.records, job);
  if (!last || *last < period.to)
    context.then(Record{std::string(latest_collection), latest_key(job),
                        Payload::of(nlohmann::json{{"digest", id}, {"to", to_rfc3339(period.to)}})});
  note_refusals(context, 0);
  context.progress(100, "done");
  return JobResult::completed({{"digest", id}, {"title", digest.title}, {"summary", digest.summary}});
}

}  // namespace quern::inline v1::digest
