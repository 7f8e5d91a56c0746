#include "git_command.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <system_error>

#include "../process.hpp"
#include "quern/handlers/detail/text.hpp"

namespace quern::inline v1::digest {
namespace {

constexpr std::size_t max_token_bytes = 64u << 10;

// Nothing of the caller's environment but the way to programs: neither GIT_DIR and its kin, which a hook or a
// terminal may have left there, nor a configuration of the machine or the user, nor a language for messages.
std::vector<std::string> environment() {
  const char* path = std::getenv("PATH");
  return {std::string("PATH=") + (path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin"), "LC_ALL=C",
          "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1",
          "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false", "GIT_PAGER=cat", "GIT_OPTIONAL_LOCKS=0",
          // A partial clone would fetch what it lacks; without protocols it says that it can't.
          "GIT_ALLOW_PROTOCOL=none"};
}

}  // namespace

GitCommand::GitCommand(const GitOptions& options, const GitFetch& fetch) : options_(options), fetch_(fetch) {}

int GitCommand::execute(const std::vector<std::string>& arguments, const Reader& reader) const {
  detail::ProcessRequest request;
  // A repository's own configuration can name programs; those that reading history could start are overruled.
  request.arguments = {options_.program,
                       "--no-pager",
                       "-c",
                       "core.hooksPath=/dev/null",
                       "-c",
                       "core.fsmonitor=false",
                       "-c",
                       "log.showSignature=false",
                       "-c",
                       "i18n.logOutputEncoding=UTF-8"};
  if (options_.trust_foreign_owner)
    request.arguments.insert(request.arguments.end(), {"-c", "safe.directory=*"});
  request.arguments.insert(request.arguments.end(), {"-C", std::filesystem::absolute(fetch_.path).string()});
  request.arguments.insert(request.arguments.end(), arguments.begin(), arguments.end());
  request.environment = environment();
  request.stop = fetch_.stop;
  request.max_output_bytes = options_.max_output_bytes;
  request.on_output = reader;

  const std::string where = fmt::format("git repository '{}'", detail::clean_line(fetch_.path.string(), 300));
  detail::ProcessResult result;
  try {
    result = detail::run_process(request);
  } catch (const std::system_error& error) {
    throw GitError(GitFailure::failed, fmt::format("{}: git could not be run: {}", where, error.what()));
  }
  const std::string words = detail::clean_line(result.error_text, 300);
  using detail::ProcessEnd;
  switch (result.end) {
    case ProcessEnd::reader_done:
      return 0;
    case ProcessEnd::exited:
      break;
    case ProcessEnd::not_found:
      throw GitError(GitFailure::git_missing,
                     fmt::format("{}: there is no program '{}'; install git", where, options_.program));
    case ProcessEnd::not_started:
      throw GitError(GitFailure::failed, fmt::format("{}: git could not be run: {}", where,
                                                     std::generic_category().message(result.exit_code)));
    case ProcessEnd::stopped:
      throw GitError(GitFailure::stopped, where + ": stopped");
    case ProcessEnd::too_much_output:
      throw GitError(GitFailure::too_large,
                     fmt::format("{}: git wrote more than {} bytes; choose a shorter period", where,
                                 options_.max_output_bytes));
    case ProcessEnd::killed_by_signal:
      throw GitError(GitFailure::failed, fmt::format("{}: git ended by signal {}", where, result.exit_code));
  }
  if (result.exit_code <= 1) return result.exit_code;
  if (words.find("not a git repository") != std::string::npos)
    throw GitError(GitFailure::not_a_repository, where + ": there is no git repository at that path");
  if (words.find("dubious ownership") != std::string::npos)
    throw GitError(GitFailure::foreign_owner,
                   where + ": it belongs to another user; change its owner, or set trust_foreign_owner");
  throw GitError(GitFailure::failed, fmt::format("{}: git {} failed with code {}: {}", where,
                                                 arguments.front(), result.exit_code, words));
}

void GitCommand::run(const std::vector<std::string>& arguments, const Reader& reader) const {
  if (execute(arguments, reader) != 0)
    throw GitError(GitFailure::failed,
                   fmt::format("git repository '{}': git {} failed",
                               detail::clean_line(fetch_.path.string(), 300), arguments.front()));
}

std::string GitCommand::line(const std::vector<std::string>& arguments) const {
  std::string out;
  const int code = execute(arguments, [&](std::string_view piece) { return out += piece, true; });
  while (out.ends_with('\n')) out.pop_back();
  return code == 0 ? out : std::string();
}

bool NulSplitter::feed(std::string_view piece, const std::function<bool(std::string_view)>& token) {
  while (!piece.empty()) {
    const auto end = piece.find('\0');
    const std::string_view part = piece.substr(0, end);
    // A longer token is a commit message that nobody will read to its end.
    rest_ += part.substr(0, max_token_bytes - std::min(max_token_bytes, rest_.size()));
    if (end == std::string_view::npos) return true;
    piece.remove_prefix(end + 1);
    const std::string complete = std::exchange(rest_, {});
    if (!token(complete)) return false;
  }
  return true;
}

}  // namespace quern::inline v1::digest
