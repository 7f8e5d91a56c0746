#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "quern/handlers/digest/activity.hpp"

namespace quern::inline v1::digest {

/// What a remote's URL says about where a repository lives.
struct Remote {
  std::string full_name;  ///< "owner/name"; empty where it is not of that form.
  std::string web_url;    ///< Of repositories on github.com, without user and password; else empty.
};

/// Reads "https://HOST/OWNER/NAME.git", "git@HOST:OWNER/NAME.git" and "ssh://git@HOST/OWNER/NAME".
[[nodiscard]] Remote parse_remote(std::string_view url);

/// The trace that a merged pull request left in a commit.
struct PullTrace {
  std::int64_t number = 0;
  std::string title;
};

/// Finds the trace of a merged pull request: a merge's "Merge pull request #N from BRANCH", whose message
/// goes on with the title; or "TITLE (#N)", as a squash writes it.
[[nodiscard]] std::optional<PullTrace> find_pull(std::string_view subject, std::string_view body, bool merge);

/// An author as git names him. The login is known for GitHub's own "LOGIN@users.noreply.github.com"
/// addresses.
[[nodiscard]] Person git_person(std::string_view name, std::string_view email);

/// Whether a name can stand in a URL's path as it is.
[[nodiscard]] bool url_safe(std::string_view name) noexcept;

}  // namespace quern::inline v1::digest
