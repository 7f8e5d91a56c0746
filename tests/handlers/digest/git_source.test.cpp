#include "quern/handlers/digest/git_source.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "../../../src/handlers/digest/git_text.hpp"
#include "quern/core/clock.hpp"
#include "quern/handlers/digest/analysis.hpp"
#include "quern/handlers/digest/render.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

using namespace std::chrono_literals;
using namespace quern::digest;

namespace {

// A repository that git itself makes, with people, dates and messages of the test's choice.
class Repository {
 public:
  explicit Repository(const std::string& name = "mill") : path_(folder_ / name) {
    std::filesystem::create_directories(path_);
    git("init -q -b main .");
  }
  void git(const std::string& arguments) const {
    const std::string command =
        "cd '" + path_.string() +
        "' && env -i PATH=\"$PATH\" HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null "
        "GIT_AUTHOR_NAME='" +
        name_ + "' GIT_AUTHOR_EMAIL='" + email_ + "' GIT_COMMITTER_NAME='" + name_ +
        "' GIT_COMMITTER_EMAIL='" + email_ + "' GIT_AUTHOR_DATE='" + date_ + "' GIT_COMMITTER_DATE='" +
        date_ + "' git " + arguments;
    INFO(command);
    REQUIRE(std::system(command.c_str()) == 0);
  }
  void as(const std::string& name, const std::string& email) { name_ = name, email_ = email; }
  void at(const std::string& date) { date_ = date; }
  void commit(const std::string& message, const std::string& file = "", const std::string& content = "") {
    if (!file.empty()) {
      quern_test::write_text(path_ / file, content);
      git("add -A");
    }
    quern_test::write_text(folder_ / "message", message);
    git("commit -q --allow-empty --allow-empty-message --cleanup=verbatim -F '" +
        (folder_ / "message").string() + "'");
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const quern_test::TempFolder& folder() const { return folder_; }

 private:
  quern_test::TempFolder folder_;
  std::filesystem::path path_;
  std::string name_ = "Ada Lovelace";
  std::string email_ = "ada@example.com";
  std::string date_ = "2024-05-01T12:00:00Z";
};

const quern::ManualClock the_clock(quern::parse_rfc3339("2024-07-01T00:00:00Z"));
const Period may{quern::parse_rfc3339("2024-05-01"), quern::parse_rfc3339("2024-06-01")};

RepositoryActivity fetch(const std::filesystem::path& path, const GitOptions& options = {}) {
  return GitSource(the_clock, options).fetch({.path = path, .period = may});
}

GitFailure failure_of(const GitFetch& request, const GitOptions& options = {}) {
  try {
    static_cast<void>(GitSource(the_clock, options).fetch(request));
  } catch (const GitError& error) {
    CHECK(std::string(error.what()).size() > 10);
    return error.failure();
  }
  FAIL("the clone was read");
  throw std::logic_error("unreachable");
}

// A small history: an old commit, a squashed pull request, a merged one, one commit too late, a tag.
void fill(Repository& repository) {
  repository.at("2024-04-30T23:59:59Z");
  repository.commit("Begin", "a.txt", "one\ntwo\n");
  repository.at("2024-05-01T00:00:00Z");
  repository.commit("Add a file (#7)\n\nIt was missing.", "b c.txt", "1\n2\n3\n");
  repository.git("checkout -q -b topic");
  repository.as("Grace Hopper", "123+grace@users.noreply.github.com");
  repository.at("2024-05-10T08:00:00Z");
  repository.commit("Work", "a.txt", "one\n2\nthree\n");
  repository.git("checkout -q main");
  repository.as("Ada Lovelace", "ada@example.com");
  repository.at("2024-05-11T08:00:00Z");
  quern_test::write_text(repository.folder() / "merge",
                         "Merge pull request #8 from grace/topic\n\nBetter numbers\n");
  repository.git("merge -q --no-ff -F '" + (repository.folder() / "merge").string() + "' topic");
  repository.git("tag -a v1.0 -m 'The first one'");
  repository.at("2024-06-01T00:00:00Z");
  repository.commit("Too late", "z", "z");
}

}  // namespace

TEST_CASE("a clone's commits and merged pull requests and tags are read", "[git]") {
  Repository repository;
  fill(repository);
  const auto activity = fetch(repository.path());
  CHECK(activity.repository.full_name == "mill");
  CHECK(activity.repository.default_branch == "main");
  CHECK(activity.fetched_at == the_clock.now());
  CHECK_FALSE(activity.has_issues);
  CHECK_FALSE(activity.open_pulls);
  CHECK(activity.gaps.empty());

  REQUIRE(activity.commits.size() == 3);
  CHECK(activity.commits[0].merge);
  CHECK_FALSE(activity.commits[0].additions);
  CHECK(activity.commits[1].subject == "Work");
  CHECK(activity.commits[1].author == Person{.login = "grace", .name = "Grace Hopper"});
  CHECK(activity.commits[1].additions == 2);
  CHECK(activity.commits[1].deletions == 1);
  CHECK(activity.commits[1].changed_files == 1);
  CHECK(activity.commits[1].first_time_author);
  CHECK(activity.commits[2].subject == "Add a file (#7)");
  CHECK_FALSE(activity.commits[2].first_time_author);
  CHECK(activity.commits[2].committed_at == may.from);

  REQUIRE(activity.pulls.size() == 2);
  CHECK(activity.pulls[0].number == 8);
  CHECK(activity.pulls[0].title == "Better numbers");
  CHECK(activity.pulls[0].author.login == "grace");
  CHECK(activity.pulls[0].merged_by->name == "Ada Lovelace");
  CHECK(activity.pulls[0].additions == 2);
  CHECK_FALSE(activity.pulls[0].created_at);
  CHECK(activity.pulls[1].number == 7);
  CHECK(activity.pulls[1].title == "Add a file");
  CHECK(activity.pulls[1].additions == 3);

  REQUIRE(activity.releases.size() == 1);
  CHECK(activity.releases[0].tag == "v1.0");
  CHECK(activity.releases[0].name == "The first one");
  CHECK(activity.releases[0].author.name == "Ada Lovelace");

  const auto report = analyze(activity);
  CHECK(render_summary(report) ==
        "2 pull requests were merged. The merged ones brought +5 \u22121 lines in 2 files. 3 commits were "
        "made by 2 people, "
        "1 of them a merge. They changed +5 \u22121 lines in 2 files. grace contributed for the first time. "
        "1 release was published: v1.0.");
}

TEST_CASE("a folder in the tree and a linked work tree and a bare clone give the same", "[git]") {
  Repository repository;
  fill(repository);
  const auto expected = fetch(repository.path());
  std::filesystem::create_directories(repository.path() / "sub" / "folder");
  repository.git("worktree add -q --detach ../linked HEAD");
  repository.git("clone -q --bare . ../bare.git 2>/dev/null");
  for (const auto& path : {repository.path() / "sub" / "folder", repository.folder() / "linked",
                           repository.folder() / "bare.git"}) {
    INFO(path.string());
    const auto activity = fetch(path);
    CHECK(activity.commits == expected.commits);
    CHECK(activity.pulls == expected.pulls);
    CHECK(activity.releases == expected.releases);
  }
}

TEST_CASE("odd messages and names and paths are read as they are", "[git]") {
  Repository repository;
  repository.as("Eve & co", "eve@example.com");
  repository.commit("", "a", "1\n");
  repository.commit("12\t3\tnot a numstat line\n\n0\t0\tnor this\n", "tab\there", "1\n");
  repository.commit("\n\nleading blank lines", "new\nline", "1\n");
  repository.commit(std::string(100'000, 'x') + "\n\n" + std::string(200'000, 'y'), "-rf", "1\n");
  repository.git("config i18n.commitEncoding ISO-8859-1");
  repository.commit("not \xFF UTF-8", "\xFF\xFE", "1\n");
  repository.commit("binary", "bin", std::string("\0\1\2", 3));
  repository.commit("renamed \x1b[31m");
  repository.git("mv a moved");
  repository.commit("move");
  const auto activity = fetch(repository.path());
  REQUIRE(activity.commits.size() == 8);
  std::vector<std::string> subjects;
  for (const auto& commit : activity.commits) subjects.push_back(commit.subject);
  CHECK(subjects[7].empty());
  CHECK(subjects[6] == "12 3 not a numstat line");
  CHECK(subjects[5] == "leading blank lines");
  CHECK(subjects[4].size() <= 512);
  CHECK(subjects[3] == "not \xC3\xBF UTF-8");  // git knows the encoding
  CHECK(activity.commits[2].additions == 0);
  CHECK(activity.commits[2].changed_files == 1);
  CHECK(subjects[1] == "renamed [31m");
  for (std::size_t i = 3; i < 8; ++i) {
    CHECK(activity.commits[i].additions == 1);
    CHECK(activity.commits[i].author.name == "Eve & co");
  }
}

TEST_CASE("a repository's home is known from its remote", "[git]") {
  CHECK(parse_remote("https://github.com/acme/mill.git").web_url == "https://github.com/acme/mill");
  CHECK(parse_remote("https://user:ghp_secret@github.com/acme/mill").web_url ==
        "https://github.com/acme/mill");
  CHECK(parse_remote("git@github.com:acme/mill.git").web_url == "https://github.com/acme/mill");
  CHECK(parse_remote("git@github.com:123/4.git").full_name == "123/4");
  CHECK(parse_remote("ssh://git@ssh.github.com:443/acme/mill.git/").web_url ==
        "https://github.com/acme/mill");
  CHECK(parse_remote("https://git.example:8443/group/sub/mill.git").full_name == "group/sub/mill");
  CHECK(parse_remote("https://git.example/acme/mill").web_url.empty());
  for (const char* none :
       {"", "/srv/git/mill.git", "../mill", "file:///srv/mill", "https://github.com/", "https://github.com",
        "git@github.com:mill", "https://github.com/a/\"onclick", "C:\\mill"}) {
    INFO(none);
    CHECK(parse_remote(none).full_name.find("\"") == std::string::npos);
    CHECK(parse_remote(none).web_url.empty());
  }

  Repository repository;
  repository.commit("Change (#3)");
  repository.git("remote add origin https://me:ghp_secret@github.com/acme/mill.git");
  const auto activity = fetch(repository.path());
  CHECK(activity.repository.full_name == "acme/mill");
  CHECK(activity.pulls[0].url == "https://github.com/acme/mill/pull/3");
  CHECK(activity.commits[0].url.starts_with("https://github.com/acme/mill/commit/"));
  CHECK(render_json(analyze(activity)).find("ghp_secret") == std::string::npos);
}

TEST_CASE("the traces of pull requests are told from other numbers", "[git]") {
  CHECK(find_pull("Fix it (#12)", "", false)->number == 12);
  CHECK(find_pull("Revert \"Fix it (#12)\" (#13)", "", false)->number == 13);
  CHECK(find_pull("Merge pull request #5 from a/b", "\n\n  Title here\nmore", true)->title == "Title here");
  CHECK(find_pull("Merge pull request #5 from a/b", "", true)->title == "Merge pull request #5 from a/b");
  CHECK_FALSE(find_pull("Fix #12", "", false));
  CHECK_FALSE(find_pull("Fix (#12) again", "", false));
  CHECK_FALSE(find_pull("Fix (#0)", "", false));
  CHECK_FALSE(find_pull("Fix (#99999999999999999999)", "", false));
  CHECK_FALSE(find_pull("Merge pull request #5 from a/b", "Title", false));
  CHECK_FALSE(find_pull("Merge branch 'x' (#5)", "", true));
}

TEST_CASE("what can't be read is told apart", "[git]") {
  const quern_test::TempFolder folder;
  SECTION("no such folder") {
    CHECK(failure_of({.path = folder / "none", .period = may}) == GitFailure::not_a_repository);
  }
  SECTION("a file") {
    quern_test::write_text(folder / "file", "x");
    CHECK(failure_of({.path = folder / "file", .period = may}) == GitFailure::not_a_repository);
  }
  SECTION("no repository") {
    CHECK(failure_of({.path = folder.path(), .period = may}) == GitFailure::not_a_repository);
  }
  SECTION("no commits yet") {
    const Repository repository;
    CHECK(failure_of({.path = repository.path(), .period = may}) == GitFailure::no_commits);
  }
  SECTION("no such branch") {
    Repository repository;
    repository.commit("x");
    for (const char* ref : {"nope", "--all", "-n1", "HEAD:a", "main..HEAD"}) {
      INFO(ref);
      const auto failure = failure_of({.path = repository.path(), .period = may, .ref = ref});
      CHECK((failure == GitFailure::unknown_ref || failure == GitFailure::failed));
    }
  }
  SECTION("no git") {
    Repository repository;
    CHECK(failure_of({.path = repository.path(), .period = may}, {.program = "git-that-is-not-there"}) ==
          GitFailure::git_missing);
  }
  SECTION("too much output") {
    Repository repository;
    repository.commit("a message of some length");
    CHECK(failure_of({.path = repository.path(), .period = may}, {.max_output_bytes = 60}) ==
          GitFailure::too_large);
  }
  SECTION("a wrong request") {
    CHECK_THROWS_AS(fetch(""), quern::InvalidArgument);
    CHECK_THROWS_AS(GitSource(the_clock).fetch({.path = folder.path(), .period = {may.to, may.from}}),
                    quern::InvalidArgument);
    CHECK_THROWS_AS(GitSource(the_clock).fetch({.path = folder.path(), .period = may, .ref = ""}),
                    quern::InvalidArgument);
  }
}

TEST_CASE("another user's repository is read only where that is allowed", "[git]") {
  if (geteuid() != 0) {
    WARN("only root can give a folder away: skipped");
    return;
  }
  Repository repository;
  repository.commit("x");
  REQUIRE(std::system(("chown -R 12345:12345 '" + repository.path().string() + "'").c_str()) == 0);
  CHECK(failure_of({.path = repository.path(), .period = may}) == GitFailure::foreign_owner);
  CHECK(fetch(repository.path(), {.trust_foreign_owner = true}).commits.size() == 1);
}

TEST_CASE("neither the environment nor the repository's configuration run or redirect anything", "[git]") {
  Repository repository;
  repository.commit("x", "a.txt", "1\n");
  const auto trap = (repository.folder() / "trap").string();
  const std::string run = "'touch " + trap + "; cat'";
  repository.git("config core.pager " + run);
  repository.git("config core.fsmonitor " + run);
  repository.git("config core.sshCommand " + run);
  repository.git("config diff.external " + run);
  repository.git("config diff.evil.textconv " + run);
  repository.git("config diff.evil.command " + run);
  repository.git("config gpg.program " + run);
  repository.git("config log.showSignature true");
  repository.git("config pager.log " + run);
  repository.git("config alias.log '!touch " + trap + "'");
  repository.git("config credential.helper '!touch " + trap + "'");
  quern_test::write_text(repository.path() / ".gitattributes", "* diff=evil\n");
  repository.git("-c core.fsmonitor=false add -A");
  repository.git("-c core.fsmonitor=false commit -q -m attributes");
  const Repository other("other");
  setenv("GIT_DIR", (other.path() / ".git").c_str(), 1);
  setenv("GIT_EXTERNAL_DIFF", "/bin/false", 1);
  setenv("GIT_TRACE", "1", 1);
  const auto activity = fetch(repository.path());
  unsetenv("GIT_DIR");
  unsetenv("GIT_EXTERNAL_DIFF");
  unsetenv("GIT_TRACE");
  CHECK(activity.commits.size() == 2);
  CHECK(activity.repository.full_name == "mill");
  CHECK_FALSE(std::filesystem::exists(trap));
}

TEST_CASE("a limit of commits and a shallow clone are named as gaps", "[git]") {
  Repository repository;
  for (int i = 0; i < 5; ++i) repository.commit("commit " + std::to_string(i));
  const auto cut = fetch(repository.path(), {.max_commits = 3});
  CHECK(cut.commits.size() == 3);
  CHECK(cut.commits[0].subject == "commit 4");
  REQUIRE(cut.gaps.size() == 1);
  CHECK(cut.gaps[0] == "only the latest 3 commits were read");

  repository.git("clone -q --depth 2 file://" + repository.path().string() + " ../shallow");
  const auto shallow = fetch(repository.folder() / "shallow");
  CHECK(shallow.commits.size() == 2);
  REQUIRE(shallow.gaps.size() == 1);
  for (const auto& commit : shallow.commits) CHECK_FALSE(commit.first_time_author);
}

TEST_CASE("a git that hangs is killed by the stop with everything it started", "[git]") {
  Repository repository;
  repository.commit("x");
  const auto script = repository.folder() / "slow-git";
  const auto started = repository.folder() / "started";
  // It ignores what it can, and its child holds the pipes open.
  quern_test::write_text(
      script, "#!/bin/sh\ntrap '' TERM INT HUP PIPE\n(trap '' TERM; sleep 1000) &\necho $! > '" +
                  started.string() + ".new'\nmv '" + started.string() + ".new' '" + started.string() +
                  "'\nwait\n");
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  std::stop_source stop;
  std::thread stopper([&] {
    while (!std::filesystem::exists(started)) std::this_thread::yield();
    stop.request_stop();
  });
  const auto failure = failure_of({.path = repository.path(), .period = may, .stop = stop.get_token()},
                                  {.program = script.string()});
  stopper.join();
  CHECK(failure == GitFailure::stopped);
  const pid_t child = std::stoi(quern_test::read_text(started));
  // Gone, or a zombie that this machine's init has not collected yet. It is nobody's child here, so there
  // is no waiting for it: it is asked until it is gone.
  const auto gone = [child] {
    if (kill(child, 0) != 0) return true;
    std::ifstream status("/proc/" + std::to_string(child) + "/stat");
    std::string text;
    return !std::getline(status, text) || text.find(") Z") != std::string::npos;
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!gone() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  CHECK(gone());
}

TEST_CASE("a git that fails is reported with its own words", "[git]") {
  Repository repository;
  repository.commit("x");
  const auto script = repository.folder() / "bad-git";
  quern_test::write_text(script, "#!/bin/sh\necho 'fatal: unable to read tree' >&2\nexit 128\n");
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  try {
    static_cast<void>(fetch(repository.path(), {.program = script.string()}));
    FAIL("read");
  } catch (const GitError& error) {
    CHECK(error.failure() == GitFailure::failed);
    CHECK(error.transient());
    CHECK(std::string(error.what()).find("unable to read tree") != std::string::npos);
  }
}
