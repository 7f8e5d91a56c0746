#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "quern/core/random.hpp"

namespace quern::inline v1 {

/// Which trace something belongs to, and the span within it that it comes from, as W3C Trace Context
/// (https://www.w3.org/TR/trace-context/) has it in the headers `traceparent` and `tracestate`. A plain value.
///
/// A job keeps it as one text (`NewJob::trace`): a traceparent, and after a space a tracestate where there is one.
///
///     queue.enqueue(job, {.trace = quern::TraceContext::parse(traceparent, tracestate)->text()});
struct TraceContext {
  std::array<std::uint8_t, 16> trace_id{};  ///< Not all zero.
  std::array<std::uint8_t, 8> span_id{};    ///< Not all zero.
  std::uint8_t flags = 0;                   ///< Bit 0: sampled. The others go along as they are.
  std::string state{};                      ///< The tracestate: what tracing systems add for themselves.

  [[nodiscard]] bool sampled() const noexcept { return (flags & 1U) != 0; }
  /// 32 and 16 digits.
  [[nodiscard]] std::string trace_id_text() const;
  [[nodiscard]] std::string span_id_text() const;
  /// "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".
  [[nodiscard]] std::string traceparent() const;
  /// As a job keeps it.
  [[nodiscard]] std::string text() const;

  /// A span within the same trace.
  [[nodiscard]] TraceContext child(Random& random) const;
  /// The first span of a new trace.
  [[nodiscard]] static TraceContext root(Random& random, bool sampled = true);

  /// Reads the headers as the recommendation says: none for a malformed traceparent; a malformed tracestate is left
  /// out; of a later version what this one knows.
  [[nodiscard]] static std::optional<TraceContext> parse(std::string_view traceparent,
                                                         std::string_view tracestate = {});
  /// Reads what a job keeps; none where it is malformed, in either part.
  [[nodiscard]] static std::optional<TraceContext> from_text(std::string_view text);

  friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

/// How long a tracestate may be, in bytes: what the recommendation asks everybody to pass on.
inline constexpr std::size_t max_trace_state = 512;

/// While it lives, jobs that this thread enqueues without a trace of their own belong to this one. The engine makes one
/// around each handler; a host makes one where a request comes in:
///
///     quern::TraceScope scope(request.traceparent, request.tracestate);
///
/// Scopes of a thread nest, and end in the reverse order. Costs nothing where nothing is given: a malformed or empty
/// trace counts as none.
class TraceScope {
 public:
  explicit TraceScope(std::string_view traceparent, std::string_view tracestate = {});
  explicit TraceScope(const TraceContext& context);
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;
  ~TraceScope();

  struct Kept {};
  /// Of what a job keeps, which is not looked at again, and must outlive the scope.
  TraceScope(Kept, const std::string& text) noexcept;

 private:
  std::string text_;
  const std::string* before_;
};

/// The trace that this thread is in by the innermost TraceScope, as a job keeps it; empty: none.
[[nodiscard]] std::string_view current_trace() noexcept;

}  // namespace quern::inline v1
