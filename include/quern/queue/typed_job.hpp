#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "quern/core/job.hpp"
#include "quern/core/secret.hpp"

namespace quern::inline v1 {

/// What jobs of one kind have in common unless a call says otherwise.
struct JobDefaults {
  std::string_view queue{};            ///< Empty: "default".
  std::optional<Priority> priority{};  ///< None: normal.
  int max_attempts = 0;                ///< 0: as the handler or the configuration says.
  Duration timeout{0};                 ///< 0: as the handler or the configuration says.
};

/// A job as a plain struct: it has a stable name, and QUERN_FIELDS lists its members (or nlohmann::json can
/// encode it).
///
///     struct SendDigest {
///       static constexpr std::string_view kind = "digest.send";
///       static constexpr quern::JobDefaults defaults{.queue = "mail", .max_attempts = 5};  // if wanted
///       std::string repository;
///     };
///     QUERN_FIELDS(SendDigest, repository)
template <class T>
concept TypedJob = std::is_class_v<T> && requires {
  { T::kind } -> std::convertible_to<std::string_view>;
};

/// The struct's own `defaults`, if it has them.
template <TypedJob T>
[[nodiscard]] constexpr JobDefaults defaults_of() noexcept {
  if constexpr (requires { requires std::same_as<std::remove_cvref_t<decltype(T::defaults)>, JobDefaults>; })
    return T::defaults;
  else
    return {};
}

/// How one job is to be run; what is left out is as its kind's defaults or the configuration says.
struct JobOptions {
  std::string queue{};  ///< Empty: as by default.
  std::optional<Priority> priority{};
  When run_at{};                   ///< `When::after(10min)`, `When::at(t)`
  std::optional<When> deadline{};  ///< If it has not started by then, it expires.
  int max_attempts = 0;
  Duration timeout{0};
  std::string tenant{};
  std::vector<std::string> tags{};
  std::vector<JobId> parents{};  ///< Jobs that must end first.
  ParentPolicy on_parent_failure = ParentPolicy::cancel;
  std::string created_by{};
  std::string digest{};
  std::string trace{};
  // The last one: where a member after it may throw, g++ 12 at -O3 falsely warns of -Wmaybe-uninitialized.
  Unique unique{};  ///< `{.key = "user-17"}` or `{.by_arguments = true, .period = 1h}`
};

/// The job that an enqueue adds: the kind's defaults, with the options over them. What neither names is left
/// for the queue to fill in.
[[nodiscard]] NewJob make_job(std::string_view kind, Payload payload, const JobDefaults& defaults,
                              JobOptions options);
[[nodiscard]] NewJob make_job(std::string_view kind, Payload payload, const JobDefaults& defaults);

/// The same for a typed job. Throws InvalidArgument (field "payload") when it cannot be written as JSON.
template <TypedJob T>
[[nodiscard]] NewJob make_job(const T& job, JobOptions options = {}) {
  return make_job(T::kind, Payload::of(job), defaults_of<T>(), std::move(options));
}

}  // namespace quern::inline v1
