#include "quern/core/trace_context.hpp"

#include <string>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "support/catch.hpp"

using quern::TraceContext;
using quern::TraceScope;

namespace {
const std::string example = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

std::string with(std::size_t at, std::string_view text) {
  std::string made = example;
  made.replace(at, text.size(), text);
  return made;
}
}  // namespace

TEST_CASE("a traceparent is read and written as W3C Trace Context says", "[trace]") {
  const auto context = TraceContext::parse(example, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
  REQUIRE(context);
  CHECK(context->trace_id_text() == "0af7651916cd43dd8448eb211c80319c");
  CHECK(context->span_id_text() == "b7ad6b7169203331");
  CHECK(context->sampled());
  CHECK(context->state == "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
  CHECK(context->traceparent() == example);
  CHECK(context->text() == example + " rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
  CHECK(TraceContext::from_text(context->text()) == context);
  CHECK_FALSE(TraceContext::parse(with(53, "00"))->sampled());
  CHECK(TraceContext::parse(with(53, "03"))->traceparent() == with(53, "03"));
  CHECK(TraceContext::parse(" " + example + "\t"));
}

TEST_CASE("of a later version a traceparent's known part is read", "[trace]") {
  for (const std::string& later : {with(0, "01"), with(0, "cc") + "-what-comes"}) {
    const auto context = TraceContext::parse(later);
    REQUIRE(context);
    CHECK(context->traceparent() == example);
    CHECK_FALSE(TraceContext::from_text(later));
  }
}

TEST_CASE("a malformed traceparent is none", "[trace]") {
  const auto is_none = [](const std::string& text) {
    CAPTURE(text);
    CHECK_FALSE(TraceContext::parse(text));
    CHECK_FALSE(TraceContext::from_text(text));
  };
  is_none("");
  is_none("00");
  is_none(example.substr(0, 54));
  is_none(example + "-x");
  is_none(example + "0");
  is_none(with(0, "cc") + ".x");
  is_none(with(0, "ff"));
  is_none(with(0, "0g"));
  for (const std::size_t dash : {2U, 35U, 52U}) is_none(with(dash, "_"));
  is_none(with(3, "0AF7"));
  is_none(with(36, "B7"));
  is_none(with(53, "0x"));
  is_none(with(3, "\xC3\xA4"));
  const std::string zeros(32, '0');
  is_none(with(3, zeros));
  is_none(with(36, std::string_view(zeros).substr(16)));
}

TEST_CASE("a tracestate is cleaned, cut after its first members, and left out when malformed", "[trace]") {
  const auto state = [](const std::string& text) { return TraceContext::parse(example, text)->state; };
  CHECK(state("a=1 , b=2,,c=3\t") == "a=1,b=2,c=3");
  CHECK(state("tenant@vendor=x y") == "tenant@vendor=x y");
  for (const char* const malformed : {"a", "=1", "A=1", "a=", "a=\x01", "a=b=c", "-a=1", "a=\xC3\xA4"}) {
    CAPTURE(malformed);
    CHECK(state(malformed).empty());
  }
  std::string many;
  for (int i = 0; i < 33; ++i) many += "k" + std::to_string(i) + "=v,";
  CHECK(state(many).empty());
  std::string longest;
  for (int i = 0; i < 5; ++i)
    longest += std::string(1, static_cast<char>('a' + i)) + "=" + std::string(198, 'v') + ",";
  CHECK(state(longest) == longest.substr(0, 401));
  CHECK(state(std::string(1'000'000, ',')).empty());
}

TEST_CASE("children stay in their trace, with spans of their own", "[trace]") {
  quern::Random random(7);
  const auto root = TraceContext::root(random);
  const auto child = root.child(random);
  CHECK(root.sampled());
  CHECK(child.trace_id == root.trace_id);
  CHECK(child.span_id != root.span_id);
  CHECK(child.sampled());
  CHECK(TraceContext::from_text(root.text()) == root);
  CHECK(TraceContext::root(random).trace_id != root.trace_id);
  CHECK_FALSE(TraceContext::root(random, false).child(random).sampled());
}

TEST_CASE("scopes of a thread nest", "[trace]") {
  CHECK(quern::current_trace().empty());
  {
    const TraceScope outer(example);
    CHECK(quern::current_trace() == example);
    {
      const TraceScope inner(with(36, "1"), "a=1");
      CHECK(quern::current_trace() == with(36, "1") + " a=1");
      const TraceScope none("nonsense");
      CHECK(quern::current_trace().empty());
    }
    CHECK(quern::current_trace() == example);
  }
  CHECK(quern::current_trace().empty());
}

TEST_CASE("a job's trace must be one", "[trace]") {
  quern::NewJob job{.kind = "mail"};
  for (const std::string& good : {std::string(), example, example + " a=1"}) {
    job.trace = good;
    CHECK_NOTHROW(check(job, quern::JobLimits{}));
  }
  for (const std::string& bad :
       {std::string("x"), example + " ", example + " a", example + "  a=1", with(0, "01")}) {
    CAPTURE(bad);
    job.trace = bad;
    try {
      check(job, quern::JobLimits{});
      FAIL("it was taken");
    } catch (const quern::InvalidArgument& e) {
      CHECK(e.field() == "trace");
    }
  }
}
