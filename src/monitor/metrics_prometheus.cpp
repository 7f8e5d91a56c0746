#include <fmt/format.h>

#include <array>
#include <chrono>
#include <functional>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include "quern/core/job_state.hpp"
#include "quern/monitor/metrics.hpp"

namespace quern::inline v1 {
namespace {

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

/// With backslash and quote escaped, as the format wants it, and the end of a line, which no name has.
std::string label_value(std::string_view value) {
  std::string text = "\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    if (c == '\n')
      text += "\\n";
    else
      text += c;
  }
  return text += '"';
}

class Page {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  /// `labels` as a="b",c="d"; may be empty.
  template <class Number>
  void value(std::string_view labels, Number number) {
    if (labels.empty())
      fmt::format_to(std::back_inserter(text_), "{} {}\n", name_, number);
    else
      fmt::format_to(std::back_inserter(text_), "{}{{{}}} {}\n", name_, labels, number);
  }
  template <class Number>
  void only(std::string_view name, std::string_view type, std::string_view help, Number number) {
    family(name, type, help);
    value("", number);
  }
  void histogram(std::string_view labels, const Histogram& histogram) {
    const auto out = std::back_inserter(text_);
    for (const auto& [bound, name] : bounds)
      fmt::format_to(out, "{}_bucket{{{},le=\"{}\"}} {}\n", name_, labels, name, histogram.at_most(bound));
    fmt::format_to(out, "{}_bucket{{{},le=\"+Inf\"}} {}\n", name_, labels, histogram.count());
    fmt::format_to(out, "{}_sum{{{}}} {}\n", name_, labels, seconds(histogram.sum()));
    fmt::format_to(out, "{}_count{{{}}} {}\n", name_, labels, histogram.count());
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  using Bound = std::pair<Duration, std::string_view>;
  static constexpr std::array<Bound, 18> bounds{{{Duration(1'000), "0.001"},
                                                 {Duration(2'500), "0.0025"},
                                                 {Duration(5'000), "0.005"},
                                                 {Duration(10'000), "0.01"},
                                                 {Duration(25'000), "0.025"},
                                                 {Duration(50'000), "0.05"},
                                                 {Duration(100'000), "0.1"},
                                                 {Duration(250'000), "0.25"},
                                                 {Duration(500'000), "0.5"},
                                                 {Duration(1'000'000), "1"},
                                                 {Duration(2'500'000), "2.5"},
                                                 {Duration(5'000'000), "5"},
                                                 {Duration(10'000'000), "10"},
                                                 {Duration(30'000'000), "30"},
                                                 {Duration(60'000'000), "60"},
                                                 {Duration(300'000'000), "300"},
                                                 {Duration(1'800'000'000), "1800"},
                                                 {Duration(3'600'000'000), "3600"}}};
  std::string text_;
  std::string name_;
};

struct Counter {
  std::string_view name;
  std::string_view help;
  std::uint64_t JobMetrics::* field;
};
constexpr std::array<Counter, 13> counters{{
    {"quern_jobs_enqueued_total", "Jobs that this process added.", &JobMetrics::enqueued},
    {"quern_jobs_duplicate_total", "Jobs that were not added, since another one holds their unique key.",
     &JobMetrics::duplicates},
    {"quern_jobs_refused_total", "Jobs that were not added, since their queue was full.",
     &JobMetrics::refused},
    {"quern_runs_started_total", "Runs that began here.", &JobMetrics::started},
    {"quern_runs_completed_total", "Runs that completed.", &JobMetrics::completed},
    {"quern_runs_failed_total", "Runs that failed, timed out or were discarded.", &JobMetrics::failed},
    {"quern_runs_timed_out_total", "Failed runs that had taken too long.", &JobMetrics::timed_out},
    {"quern_runs_retried_total", "Failed runs whose job will run again.", &JobMetrics::retried},
    {"quern_runs_dead_total", "Failed runs whose job is dead now.", &JobMetrics::dead},
    {"quern_runs_cancelled_total", "Runs that were cancelled.", &JobMetrics::cancelled},
    {"quern_runs_snoozed_total", "Runs that were put off.", &JobMetrics::snoozed},
    {"quern_runs_released_total", "Runs that were handed back.", &JobMetrics::released},
    {"quern_runs_lost_total", "Runs that ended after another node had taken their job over.",
     &JobMetrics::lost},
}};

}  // namespace

std::string to_prometheus(const Metrics& metrics) {
  Page page;
  const auto names = [](const auto& one) {
    return fmt::format("queue={},kind={}", label_value(one.queue), label_value(one.kind));
  };
  for (const Counter& counter : counters) {
    page.family(counter.name, "counter", counter.help);
    for (const JobMetrics& jobs : metrics.jobs) page.value(names(jobs), jobs.*counter.field);
  }
  const auto histogram = [&](std::string_view name, std::string_view help, Histogram JobMetrics::* field) {
    page.family(name, "histogram", help);
    for (const JobMetrics& jobs : metrics.jobs) page.histogram(names(jobs), jobs.*field);
  };
  histogram("quern_run_wait_seconds", "From when a job was due until its run began.", &JobMetrics::waited);
  histogram("quern_run_duration_seconds", "How long handlers ran.", &JobMetrics::ran);
  histogram("quern_job_age_seconds", "From when a job was added until it was completed.", &JobMetrics::age);

  page.family("quern_job_cpu_seconds_total", "counter", "Processor time that handlers used.");
  for (const JobMetrics& jobs : metrics.jobs) page.value(names(jobs), seconds(jobs.cpu));
  page.family("quern_job_peak_memory_bytes", "gauge",
              "The most that a run in a process of its own had in memory.");
  for (const JobMetrics& jobs : metrics.jobs)
    if (jobs.peak_memory > 0) page.value(names(jobs), jobs.peak_memory);

  page.family("quern_storage_call_duration_seconds", "histogram", "How long the storage took for a call.");
  for (const StorageCallMetrics& call : metrics.storage)
    page.histogram(fmt::format("call=\"{}\"", to_string(call.call)), call.took);
  page.family("quern_storage_call_failures_total", "counter", "Calls that the storage failed.");
  for (const StorageCallMetrics& call : metrics.storage)
    page.value(fmt::format("call=\"{}\"", to_string(call.call)), call.failed);

  page.only("quern_running", "gauge", "Runs of this process now.", metrics.running);
  page.only("quern_slots", "gauge", "How many runs this process may have.", metrics.slots);
  page.only("quern_nodes_found_dead_total", "counter", "Other nodes that this one found dead.",
            metrics.dead_nodes);
  page.only("quern_jobs_rescued_total", "counter", "Jobs of dead nodes that this one made ready again.",
            metrics.rescued_jobs);
  page.only("quern_jobs_rescued_dead_total", "counter", "Jobs that died with their node.",
            metrics.rescue_dead_jobs);
  page.only("quern_leases_lost_total", "counter", "Times that this node was declared dead itself.",
            metrics.leases_lost);

  page.only("quern_sample_failures_total", "counter",
            "Times that the storage did not say how many jobs it has.", metrics.failed_samples);
  if (metrics.sampled_at != TimePoint::min()) {
    page.only("quern_sample_timestamp_seconds", "gauge", "When it last did.",
              seconds(metrics.sampled_at.time_since_epoch()));
    page.family("quern_jobs", "gauge", "Jobs in the storage, of all processes.");
    for (const JobCount& count : metrics.counts)
      page.value(fmt::format("{},state=\"{}\"", names(count), to_string(count.state)), count.count);
    page.family("quern_oldest_ready_seconds", "gauge", "For how long the job is ready that is due longest.");
    for (const ReadyAge& oldest : metrics.oldest_ready) page.value(names(oldest), seconds(oldest.age));
    page.family("quern_queue_paused", "gauge", "1 where the queue is paused.");
    for (const QueueStatus& queue : metrics.queues)
      page.value(fmt::format("queue={}", label_value(queue.name)), queue.paused ? 1 : 0);
    const auto limits = [&](std::string_view name, std::string_view help, const auto& value_of) {
      page.family(name, "gauge", help);
      for (const LimitStatus& limit : metrics.limits)
        if (const auto value = value_of(limit))
          page.value(fmt::format("limit={}", label_value(limit.rule.name)), *value);
    };
    limits("quern_limit_running", "Jobs that run under a rule, of all processes.",
           [](const LimitStatus& limit) { return std::optional(limit.running); });
    limits("quern_limit_max_running", "How many jobs may run at once under a rule.",
           [](const LimitStatus& limit) {
             return limit.rule.max_running > 0 ? std::optional(limit.rule.max_running) : std::nullopt;
           });
    limits("quern_limit_starts", "How many jobs a rule's rate let start when it was last asked.",
           [](const LimitStatus& limit) { return limit.starts; });
    page.only("quern_nodes", "gauge", "Nodes that are alive, of all processes.", metrics.nodes);
    page.family("quern_longest_run_start_seconds", "gauge",
                "When the run began that has been going on for the longest time, of all processes.");
    for (const LongestRun& run : metrics.longest_runs)
      page.value(names(run), seconds(run.started_at.time_since_epoch()));
  }

  // The names that Prometheus' own client libraries give to these.
  page.only("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.",
            seconds(metrics.process.cpu));
  if (metrics.process.resident_bytes > 0)
    page.only("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
              metrics.process.resident_bytes);
  return page.take();
}

}  // namespace quern::inline v1
