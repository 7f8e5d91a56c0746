#include "quern/core/retry_policy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "quern/core/error.hpp"

namespace quern::inline v1 {
namespace {

void check_wait(Duration wait, const char* field) {
  if (wait < RetryPolicy::minimum || wait > RetryPolicy::longest) {
    throw InvalidArgument(field, fmt::format("is {}, allowed are {} to {}", to_text(wait),
                                             to_text(RetryPolicy::minimum), to_text(RetryPolicy::longest)));
  }
}

/// Evenly from [least, most].
Duration between(Duration least, Duration most, std::uint64_t draw) noexcept {
  const auto width = static_cast<std::uint64_t>((most - least).count()) + 1;
  return least + Duration(static_cast<std::int64_t>(draw % width));
}

}  // namespace

RetryPolicy::RetryPolicy(Shape shape, Duration base, Duration ceiling, double factor, Jitter jitter)
    : shape_(shape), jitter_(jitter), factor_(factor), base_(base), ceiling_(ceiling) {
  check_wait(base, shape == Shape::fixed ? "wait" : "base");
  check_wait(ceiling, "ceiling");
  if (base > ceiling) {
    throw InvalidArgument(
        "base", fmt::format("is {}, which is more than the ceiling {}", to_text(base), to_text(ceiling)));
  }
  if (!(factor >= 1.0 && factor <= 100.0)) {  // also refuses NaN
    throw InvalidArgument("factor", fmt::format("is {}, allowed are 1 to 100", factor));
  }
}

RetryPolicy RetryPolicy::exponential(Duration base, Duration ceiling, double factor, Jitter jitter) {
  return {Shape::exponential, base, ceiling, factor, jitter};
}

RetryPolicy RetryPolicy::linear(Duration base, Duration ceiling, Jitter jitter) {
  return {Shape::linear, base, ceiling, 1.0, jitter};
}

RetryPolicy RetryPolicy::fixed(Duration wait, Jitter jitter) {
  return {Shape::fixed, wait, wait, 1.0, jitter};
}

RetryPolicy RetryPolicy::custom(std::function<Duration(int attempt)> wait) {
  if (!wait) throw InvalidArgument("wait", "is an empty function");
  RetryPolicy policy;
  policy.shape_ = Shape::custom;
  policy.custom_ = std::move(wait);
  return policy;
}

Duration RetryPolicy::delay(int attempt, std::uint64_t draw) const noexcept {
  attempt = std::max(attempt, 1);
  Duration wait = base_;
  switch (shape_) {
    case Shape::exponential: {
      // In floating point, so that a great attempt gives infinity and not an overflow.
      const double us = static_cast<double>(base_.count()) * std::pow(factor_, attempt - 1);
      wait = us < static_cast<double>(ceiling_.count()) ? Duration(std::llround(us)) : ceiling_;
      break;
    }
    case Shape::linear:
      wait = base_ > ceiling_ / attempt ? ceiling_ : base_ * attempt;
      break;
    case Shape::fixed:
      break;
    case Shape::custom:
      try {
        return std::clamp(custom_(attempt), minimum, longest);
      } catch (...) {  // a host's function; the job must be retried all the same
        return RetryPolicy().delay(attempt, draw);
      }
  }
  wait = std::clamp(wait, minimum, ceiling_);

  switch (jitter_) {
    case Jitter::none:
      break;
    case Jitter::equal:
      wait = between(std::max(minimum, wait / 2), wait, draw);
      break;
    case Jitter::full:
      wait = between(minimum, wait, draw);
      break;
  }
  assert(wait >= minimum && wait <= longest);
  return wait;
}

}  // namespace quern::inline v1
