#pragma once

#include <optional>
#include <string>

#include "../json_fields.hpp"
#include "quern/handlers/digest/activity.hpp"

namespace quern::inline v1::digest {

// The objects of GitHub's API as the digest's own. Everything in them is from outside: each function checks
// the type of each member it reads, and throws InvalidArgument with the path of one that is not as
// documented.

/// A user object; a member that is null stands for an account that is gone.
[[nodiscard]] Person read_user(const detail::JsonFields& fields, const char* key);
/// The link for people. Anything that is not http or https is dropped here, long before somebody could click
/// it.
[[nodiscard]] std::string read_url(const detail::JsonFields& fields);
/// An entry of the list of pull requests: without size and reviewers.
[[nodiscard]] PullRequest read_pull(const detail::JsonFields& fields);
[[nodiscard]] Issue read_issue(const detail::JsonFields& fields);
[[nodiscard]] Commit read_commit(const detail::JsonFields& fields);
/// Nothing for a draft.
[[nodiscard]] std::optional<Release> read_release(const detail::JsonFields& fields);

}  // namespace quern::inline v1::digest
