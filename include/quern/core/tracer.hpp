#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "quern/core/job_id.hpp"
#include "quern/core/log.hpp"
#include "quern/core/time.hpp"

namespace quern::inline v1 {

/// What a span covers.
enum class SpanKind : std::uint8_t {
  producer,  ///< A job is added.
  consumer,  ///< An attempt runs.
};

/// A span that begins. Borrows its texts for the call.
struct SpanStart {
  SpanKind kind = SpanKind::consumer;
  std::string_view parent{};  ///< The trace that it belongs to, as a job keeps it; empty: it begins one.
  JobId job{};                ///< 0: not numbered yet.
  std::string_view job_kind{};
  std::string_view queue{};
  int run = 0;      ///< Of a consumer, as `attempt`.
  int attempt = 0;  ///< From 1.
  TimePoint at{};
};

/// How a span ends.
struct SpanEnd {
  TimePoint at{};
  bool failed = false;
  /// What became of it: "added", "duplicate", "completed", "failed", "snoozed", "given_up", ...
  std::string_view outcome{};
  std::string_view message{};  ///< Of a failure; without secrets.
};

/// A span under way. Dropped without an `end` it has no end that is known.
class Span {
 public:
  Span() = default;
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;
  virtual ~Span() = default;

  /// Its own trace context, as a job keeps it: what is made within the span has it as its parent.
  [[nodiscard]] virtual std::string trace() const = 0;
  /// Called once, from any thread. Must not throw.
  virtual void end(const SpanEnd& end) noexcept = 0;
  // Around the handler, on its thread: for tracing libraries that have a current span per thread.
  virtual void enter() noexcept {}
  virtual void leave() noexcept {}
};

/// Where spans go: the seam to a host's tracing library. See docs/tracing.md.
///
/// Threads  called from any thread, several at once.
/// Errors   what it throws is dropped, and the span with it: tracing never fails a job.
class Tracer {
 public:
  Tracer() = default;
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;
  virtual ~Tracer() = default;

  /// Null: this one is not traced; then its parent's context goes on unchanged.
  [[nodiscard]] virtual std::unique_ptr<Span> start(const SpanStart& start) = 0;
  /// The trace that the calling thread is in, as the host's library has it; empty: as `current_trace` says.
  [[nodiscard]] virtual std::string current() { return {}; }
};

/// A tracer that tells a logger each span at its end: message "span" with the fields span, trace_id, span_id,
/// parent_span_id, start (RFC 3339), duration_us, outcome and, of a failure, error. Spans of traces that are not sampled
/// are not told. `seed` 0: from the operating system.
[[nodiscard]] std::shared_ptr<Tracer> make_log_tracer(Logger log, std::uint64_t seed = 0);

}  // namespace quern::inline v1
