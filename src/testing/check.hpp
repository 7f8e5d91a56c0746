#pragma once

#include <concepts>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>

#include "quern/core/job.hpp"
#include "quern/storage/observer.hpp"
#include "quern/storage/requests.hpp"

// How the conformance suite checks: each macro throws a ConformanceFailure that tells the place, the
// expression and the values.

#define QUERN_EXPECT(condition) \
  ((condition) ? void() : ::quern::testing::detail::fail(__FILE__, __LINE__, #condition, "is false"))

#define QUERN_EXPECT_EQ(actual, expected) \
  ::quern::testing::detail::expect_equal(__FILE__, __LINE__, #actual " == " #expected, (actual), (expected))

#define QUERN_EXPECT_THROWS(Exception, expression)                                                  \
  do {                                                                                              \
    bool thrown_as_expected = false;                                                                \
    try {                                                                                           \
      static_cast<void>(expression);                                                                \
    } catch (const Exception&) {                                                                    \
      thrown_as_expected = true;                                                                    \
    }                                                                                               \
    if (!thrown_as_expected) {                                                                      \
      ::quern::testing::detail::fail(__FILE__, __LINE__, #expression, "did not throw " #Exception); \
    }                                                                                               \
  } while (false)

namespace quern::inline v1::testing::detail {

[[noreturn]] void fail(const char* file, int line, std::string_view expression, const std::string& problem);

// show: a value for people.
[[nodiscard]] std::string show(bool value);
[[nodiscard]] std::string show(std::string_view value);
[[nodiscard]] std::string show(JobState value);
[[nodiscard]] std::string show(DeadReason value);
[[nodiscard]] std::string show(JobEventType value);
[[nodiscard]] std::string show(TimePoint value);
[[nodiscard]] std::string show(Duration value);
[[nodiscard]] std::string show(JobId value);
[[nodiscard]] std::string show(NodeId value);
[[nodiscard]] std::string show(const Payload& value);
[[nodiscard]] std::string show(const Progress& value);
[[nodiscard]] std::string show(Priority value);
[[nodiscard]] std::string show(const JobCount& value);
[[nodiscard]] std::string show(const ReadyAge& value);

template <class T>
  requires(std::integral<T> && !std::same_as<T, bool>)
[[nodiscard]] std::string show(T value) {
  return std::to_string(value);
}
template <class T>
  requires(std::is_enum_v<T>)
[[nodiscard]] std::string show(T value) {
  return "number " + std::to_string(static_cast<std::underlying_type_t<T>>(value));
}
template <class T>
[[nodiscard]] std::string show(const std::optional<T>& value) {
  return value ? show(*value) : "nothing";
}
template <std::ranges::input_range Values>
  requires(!std::convertible_to<const Values&, std::string_view>)
[[nodiscard]] std::string show(const Values& values) {
  std::string text = "[";
  for (const auto& value : values) text += (text.size() == 1 ? "" : ", ") + show(value);
  return text + "]";
}

template <class A, class B>
[[nodiscard]] bool equal(const A& a, const B& b) {
  if constexpr (std::integral<A> && std::integral<B> && !std::same_as<A, bool> && !std::same_as<B, bool>) {
    return std::cmp_equal(a, b);
  } else {
    return a == b;
  }
}

template <class A, class B>
void expect_equal(const char* file, int line, std::string_view expression, const A& actual,
                  const B& expected) {
  if (!equal(actual, expected)) {
    fail(file, line, expression, "got " + show(actual) + ", expected " + show(expected));
  }
}

}  // namespace quern::inline v1::testing::detail
