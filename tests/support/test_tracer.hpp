#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "quern/core/trace_context.hpp"
#include "quern/core/tracer.hpp"

namespace quern_test {

/// What became of a span.
struct SeenSpan {
  quern::SpanKind kind{};
  std::string parent;
  std::string trace;
  quern::JobId job{};
  std::string job_kind;
  std::string queue;
  int attempt = 0;
  quern::TimePoint began{};
  int entered = 0;
  int left = 0;
  int ends = 0;
  quern::TimePoint ended{};
  bool failed = false;
  std::string outcome{};
  std::string message{};
};

/// Keeps what it is told.
class TestTracer final : public quern::Tracer {
 public:
  std::unique_ptr<quern::Span> start(const quern::SpanStart& start) override {
    const std::lock_guard lock(mutex_);
    if (broken) throw std::runtime_error("no spans today");
    if (drops) return nullptr;
    const auto parent = quern::TraceContext::from_text(start.parent);
    const auto own = parent ? parent->child(random_) : quern::TraceContext::root(random_);
    seen_.push_back(std::make_shared<SeenSpan>(SeenSpan{.kind = start.kind,
                                                        .parent = std::string(start.parent),
                                                        .trace = own.text(),
                                                        .job = start.job,
                                                        .job_kind = std::string(start.job_kind),
                                                        .queue = std::string(start.queue),
                                                        .attempt = start.attempt,
                                                        .began = start.at}));
    return std::make_unique<One>(*this, seen_.back());
  }
  std::string current() override {
    if (broken) throw std::runtime_error("no trace today");
    return here;
  }

  [[nodiscard]] std::vector<SeenSpan> spans(quern::SpanKind kind) {
    const std::lock_guard lock(mutex_);
    std::vector<SeenSpan> spans;
    for (const auto& span : seen_)
      if (span->kind == kind) spans.push_back(*span);
    return spans;
  }

  // To be set while nothing runs.
  bool broken = false;
  bool drops = false;
  std::string here;

 private:
  class One final : public quern::Span {
   public:
    One(TestTracer& tracer, std::shared_ptr<SeenSpan> seen) : tracer_(tracer), seen_(std::move(seen)) {}
    [[nodiscard]] std::string trace() const override { return seen_->trace; }
    void end(const quern::SpanEnd& end) noexcept override {
      const std::lock_guard lock(tracer_.mutex_);
      ++seen_->ends;
      seen_->ended = end.at;
      seen_->failed = end.failed;
      seen_->outcome = end.outcome;
      seen_->message = end.message;
    }
    void enter() noexcept override {
      const std::lock_guard lock(tracer_.mutex_);
      ++seen_->entered;
    }
    void leave() noexcept override {
      const std::lock_guard lock(tracer_.mutex_);
      ++seen_->left;
    }

   private:
    TestTracer& tracer_;
    std::shared_ptr<SeenSpan> seen_;
  };

  std::mutex mutex_;
  quern::Random random_{11};
  std::vector<std::shared_ptr<SeenSpan>> seen_;
};

}  // namespace quern_test
