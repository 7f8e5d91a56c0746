#include "http/schedule_json.hpp"

#include <array>

namespace quern::inline v1::http {
namespace {

template <class E, std::size_t N>
using Names = std::array<std::pair<std::string_view, E>, N>;

constexpr Names<GapPolicy, 4> gaps{{{"vixie", GapPolicy::vixie},
                                    {"skip", GapPolicy::skip},
                                    {"next_valid", GapPolicy::next_valid},
                                    {"shift", GapPolicy::shift}}};
constexpr Names<OverlapPolicy, 4> overlaps{{{"vixie", OverlapPolicy::vixie},
                                            {"first", OverlapPolicy::first},
                                            {"second", OverlapPolicy::second},
                                            {"both", OverlapPolicy::both}}};
constexpr Names<MissedRuns, 3> missed{
    {{"once", MissedRuns::once}, {"skip", MissedRuns::skip}, {"all", MissedRuns::all}}};
constexpr Names<WhenBusy, 5> busy{{{"allow", WhenBusy::allow},
                                   {"skip", WhenBusy::skip},
                                   {"queue_one", WhenBusy::queue_one},
                                   {"queue_all", WhenBusy::queue_all},
                                   {"cancel", WhenBusy::cancel}}};

template <class E, std::size_t N>
std::string_view name_of(E value, const Names<E, N>& names) {
  for (const auto& [name, known] : names)
    if (known == value) return name;
  return "unknown";  // of a later version
}

void read_times(Members& members, std::vector<TimePoint>& times, std::vector<FieldFault>& faults) {
  std::vector<std::string> texts;
  members.texts("at", texts);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    try {
      times.push_back(parse_rfc3339(texts[i]));
    } catch (const InvalidArgument&) {
      faults.push_back({members.place("at") + "/" + std::to_string(i),
                        "must be a time, such as \"2026-01-31T08:30:00Z\""});
    }
  }
}

void read_windows(Members& members, std::vector<TimeWindow>& windows, std::vector<FieldFault>& faults) {
  const auto* const all = members.array("within");
  if (all == nullptr) return;
  for (std::size_t i = 0; i < all->size(); ++i) {
    Members inner((*all)[i], members.place("within") + "/" + std::to_string(i), faults);
    TimeWindow& window = windows.emplace_back();
    inner.text("days", window.days);
    inner.text("from", window.from);
    inner.text("to", window.to);
    inner.end();
  }
}

void read_timing(const nlohmann::json& body, const std::string& where, TimingSpec& timing,
                 std::vector<FieldFault>& faults) {
  Members members(body, where, faults);
  members.text("cron", timing.cron);
  members.duration("every", timing.every);
  members.time("anchor", timing.anchor);
  read_times(members, timing.at, faults);
  members.text("zone", timing.zone);
  members.choice<GapPolicy>("gap", timing.shifts.gap, gaps);
  members.choice<OverlapPolicy>("overlap", timing.shifts.overlap, overlaps);
  members.texts("except", timing.except);
  read_windows(members, timing.within, faults);
  members.time("start", timing.start);
  members.time("until", timing.until);
  members.duration("jitter", timing.jitter);
  members.end();
}

Json json_of(const TimingSpec& timing) {
  Json json;
  if (!timing.cron.empty()) json["cron"] = timing.cron;
  if (timing.every != Duration::zero()) json["every"] = quern::to_text(timing.every);
  if (timing.anchor != TimePoint{}) json["anchor"] = to_rfc3339(timing.anchor);
  for (const TimePoint at : timing.at) json["at"].push_back(to_rfc3339(at));
  json["zone"] = timing.zone;
  if (timing.shifts.gap != GapPolicy::vixie) json["gap"] = name_of(timing.shifts.gap, gaps);
  if (timing.shifts.overlap != OverlapPolicy::vixie)
    json["overlap"] = name_of(timing.shifts.overlap, overlaps);
  if (!timing.except.empty()) json["except"] = timing.except;
  for (const TimeWindow& window : timing.within) {
    Json& one = json["within"].emplace_back();
    one["days"] = window.days;
    one["from"] = window.from;
    one["to"] = window.to;
  }
  if (timing.start) json["start"] = to_rfc3339(*timing.start);
  if (timing.until) json["until"] = to_rfc3339(*timing.until);
  if (timing.jitter != Duration::zero()) json["jitter"] = quern::to_text(timing.jitter);
  return json;
}

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

ScheduleSpec schedule_in(const nlohmann::json& body, std::string name, std::vector<FieldFault>& faults) {
  ScheduleSpec spec;
  Members members(body, "", faults);
  const bool named = members.text("name", spec.name);
  if (name.empty()) {
    members.required("name");
  } else {
    if (named && spec.name != name) members.fault("name", "is another one than that in the path");
    spec.name = std::move(name);
  }
  members.required("timing");
  if (const auto* const timing = members.object("timing"))
    read_timing(*timing, members.place("timing"), spec.timing, faults);
  members.required("kind");
  members.text("kind", spec.kind);
  members.json("payload", spec.payload);
  members.text("queue", spec.queue);
  members.number("priority", spec.priority, 0, 9);
  members.text("tenant", spec.tenant);
  members.texts("tags", spec.tags);
  members.number("max_attempts", spec.max_attempts, 0, 1'000'000);
  members.duration("timeout", spec.timeout);
  members.choice<MissedRuns>("missed", spec.missed, missed);
  std::uint64_t limit = spec.missed_limit;
  members.count("missed_limit", limit, 1, 1000);
  spec.missed_limit = limit;
  members.duration("missed_within", spec.missed_within);
  members.choice<WhenBusy>("when_busy", spec.when_busy, busy);
  members.flag("skip_if_queue_busy", spec.skip_if_queue_busy);
  members.count("max_runs", spec.max_runs, 0, std::uint64_t{1} << 53U);
  members.end();
  if (is_reserved(spec.kind)) members.fault("kind", "begins with \"quern.\": those are quern's own");
  if (is_reserved(spec.queue)) members.fault("queue", "begins with \"quern.\": those are quern's own");
  return spec;
}

Json json_of(const ApiContext& api, const ScheduleSpec& spec, bool show_secrets) {
  Json json;
  json["name"] = spec.name;
  json["timing"] = json_of(spec.timing);
  json["kind"] = spec.kind;
  json["payload"] = Json::parse(show_secrets ? spec.payload : without_secrets(api, spec.kind, spec.payload));
  json["queue"] = spec.queue;
  json["priority"] = spec.priority;
  if (!spec.tenant.empty()) json["tenant"] = spec.tenant;
  json["tags"] = spec.tags;
  if (spec.max_attempts != 0) json["max_attempts"] = spec.max_attempts;
  if (spec.timeout != Duration::zero()) json["timeout"] = quern::to_text(spec.timeout);
  json["missed"] = name_of(spec.missed, missed);
  json["missed_limit"] = spec.missed_limit;
  if (spec.missed_within != Duration::zero()) json["missed_within"] = quern::to_text(spec.missed_within);
  json["when_busy"] = name_of(spec.when_busy, busy);
  json["skip_if_queue_busy"] = spec.skip_if_queue_busy;
  json["max_runs"] = spec.max_runs;
  return json;
}

Json json_of(const ApiContext& api, const ScheduleStatus& status, bool show_secrets) {
  const ScheduleState& state = status.state;
  Json json = json_of(api, status.spec, show_secrets);
  json["paused"] = state.paused;
  json["declared"] = state.declared;
  json["description"] = status.description;
  json["next"] = status.next ? Json(to_rfc3339(*status.next)) : Json(nullptr);
  json["runs"] = state.runs;
  json["skipped"] = state.skipped;
  if (state.last_job != 0) json["last_job"] = std::to_string(state.last_job);
  if (state.runs > 0) {
    json["lateness_mean_s"] = seconds(state.lateness_sum) / static_cast<double>(state.runs);
    json["lateness_max_s"] = seconds(state.lateness_max);
  }
  if (!status.fault.empty()) json["fault"] = status.fault;
  return json;
}

Json json_of(const ScheduleRun& run) {
  Json json;
  json["instant"] = to_rfc3339(run.instant);
  json["last"] = to_rfc3339(run.last);
  json["count"] = run.count;
  json["decided"] = to_rfc3339(run.decided);
  if (run.job != 0) json["job"] = std::to_string(run.job);
  if (run.reason != SkipReason::none) json["reason"] = to_string(run.reason);
  return json;
}

}  // namespace quern::inline v1::http
