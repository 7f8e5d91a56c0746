#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "quern/core/clock.hpp"
#include "quern/core/error.hpp"
#include "quern/handlers/digest/activity.hpp"

namespace quern::inline v1::digest {

/// Why a clone could not be read.
enum class GitFailure : std::uint8_t {
  git_missing,       ///< There is no git program.
  not_a_repository,  ///< The path does not exist, or no repository is there.
  foreign_owner,     ///< The repository belongs to another user; see GitOptions::trust_foreign_owner.
  no_commits,        ///< A repository, but an empty one.
  unknown_ref,       ///< No commit has the name that was asked for.
  too_large,         ///< More output than GitOptions::max_output_bytes.
  stopped,           ///< The stop token was set.
  failed,            ///< git failed in another way; its own words are in the message.
};

/// A local clone could not be read.
class GitError : public Error {
 public:
  GitError(GitFailure failure, const std::string& message) : Error(message), failure_(failure) {}

  [[nodiscard]] GitFailure failure() const noexcept { return failure_; }
  /// True when the same call may work later.
  [[nodiscard]] bool transient() const noexcept {
    return failure_ == GitFailure::failed || failure_ == GitFailure::stopped;
  }

 private:
  GitFailure failure_;
};

struct GitOptions {
  std::string program = "git";  ///< Looked up in PATH unless it holds a slash.
  /// git refuses repositories of other users, since a repository's own configuration can name programs to
  /// run. The ways that reading history has to do so are switched off here, so it is safe to set this for a
  /// path that an operator names, such as a clone mounted into a container.
  bool trust_foreign_owner = false;
  std::size_t max_output_bytes = 256u << 20;  ///< Of one git command.
  std::size_t max_commits = 20'000;           ///< In one digest; older ones are a gap.
};

/// What to read from a clone.
struct GitFetch {
  std::filesystem::path path{};  ///< The work tree, a folder in it, a linked work tree, or a bare repository.
  Period period{};
  std::string ref = "HEAD";  ///< The commit whose history is read: a branch, a tag, anything git knows.
  std::stop_token stop{};
  std::function<void(int percent, std::string_view what)> progress{};
};

/// Reads a repository's activity from a local clone, by running git without a shell, network, hooks, pager or
/// configuration from outside the repository. It never writes.
///
/// Commits are those reachable from `ref` whose committer date lies in the period, with their sizes. Pull
/// requests are the merged ones that left a trace: "Merge pull request #N" and squash commits whose title
/// ends in "(#N)". Tags stand in for releases. What a clone does not hold (issues, reviews, what is open)
/// stays unknown. Threads  `fetch` may be called from several threads.
class GitSource {
 public:
  explicit GitSource(ClockRef clock, GitOptions options = {});

  /// Throws GitError; InvalidArgument for a request that is wrong in itself.
  [[nodiscard]] RepositoryActivity fetch(const GitFetch& request) const;

 private:
  ClockRef clock_;
  GitOptions options_;
};

}  // namespace quern::inline v1::digest
