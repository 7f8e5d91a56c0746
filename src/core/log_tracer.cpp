#include <algorithm>
#include <array>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "quern/core/trace_context.hpp"
#include "quern/core/tracer.hpp"

namespace quern::inline v1 {
namespace {

class LogSpan final : public Span {
 public:
  LogSpan(const Logger& log, const SpanStart& start, TraceContext context, std::string parent)
      : log_(log),
        context_(std::move(context)),
        parent_(std::move(parent)),
        kind_(start.job_kind),
        queue_(start.queue),
        name_(start.kind == SpanKind::producer ? "enqueue " : "run "),
        job_(start.job),
        run_(start.run),
        attempt_(start.attempt),
        at_(start.at) {
    name_ += kind_;
  }

  [[nodiscard]] std::string trace() const override { return context_.text(); }

  void end(const SpanEnd& end) noexcept override {
    if (!context_.sampled()) return;
    try {
      const std::string trace_id = context_.trace_id_text();
      const std::string span_id = context_.span_id_text();
      const std::string start = to_rfc3339(at_);
      const std::array<LogField, 8> fields{
          LogField("span", name_),
          LogField("trace_id", trace_id),
          LogField("span_id", span_id),
          LogField("parent_span_id", parent_),
          LogField("start", start),
          LogField("duration_us", std::max(Duration::zero(), Duration(end.at - at_)).count()),
          LogField("outcome", end.outcome),
          LogField("error", end.message)};
      log_({.level = end.failed ? LogLevel::warning : LogLevel::info,
            .message = "span",
            .job = job_,
            .kind = kind_,
            .queue = queue_,
            .run = run_,
            .attempt = attempt_,
            .fields = std::span(fields).first(end.failed ? 8 : 7)});
    } catch (const std::exception&) {  // no memory: then there is nothing to tell it with either
    }
  }

 private:
  const Logger& log_;
  TraceContext context_;
  std::string parent_;  // empty: none
  std::string kind_;
  std::string queue_;
  std::string name_;
  JobId job_;
  int run_;
  int attempt_;
  TimePoint at_;
};

/// Spans hold a reference to its logger: a tracer outlives its spans, as Tracer's users see to.
class LogTracer final : public Tracer {
 public:
  LogTracer(Logger log, std::uint64_t seed)
      : log_(std::move(log)), random_(seed != 0 ? seed : Random::entropy()) {}

  std::unique_ptr<Span> start(const SpanStart& start) override {
    const auto parent = TraceContext::from_text(start.parent);
    std::optional<TraceContext> context;
    {
      const std::lock_guard lock(mutex_);
      context = parent ? parent->child(random_) : TraceContext::root(random_);
    }
    return std::make_unique<LogSpan>(log_, start, std::move(*context),
                                     parent ? parent->span_id_text() : std::string());
  }

 private:
  const Logger log_;
  std::mutex mutex_;
  Random random_;
};

}  // namespace

std::shared_ptr<Tracer> make_log_tracer(Logger log, std::uint64_t seed) {
  return std::make_shared<LogTracer>(std::move(log), seed);
}

}  // namespace quern::inline v1
