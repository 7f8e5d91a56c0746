#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/handlers/digest/git_source.hpp"

namespace quern::inline v1::digest {

/// Runs git in one repository, under conditions that do not depend on who runs it.
class GitCommand {
 public:
  GitCommand(const GitOptions& options, const GitFetch& fetch);

  using Reader = std::function<bool(std::string_view piece)>;
  /// Runs `git ARGUMENTS` and hands what it writes to `reader`, which says false when it has enough. Throws
  /// GitError.
  void run(const std::vector<std::string>& arguments, const Reader& reader) const;
  /// All that it writes, without the line end. Where it fails with exit code 1 ("no such thing"): nothing.
  [[nodiscard]] std::string line(const std::vector<std::string>& arguments) const;

 private:
  // The exit code, 0 or 1. Throws for any other end.
  [[nodiscard]] int execute(const std::vector<std::string>& arguments, const Reader& reader) const;

  const GitOptions& options_;
  const GitFetch& fetch_;
};

/// Cuts a stream into the pieces between NULs, however it is chopped up on its way.
class NulSplitter {
 public:
  /// Calls `token` with each piece that is complete, until it says false. Says whether to go on.
  bool feed(std::string_view piece, const std::function<bool(std::string_view token)>& token);

 private:
  std::string rest_;
};

}  // namespace quern::inline v1::digest
