#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "quern/core/clock.hpp"
#include "support/http_test_server.hpp"

namespace quern_test {

/// A repository as GitHub's API shows it: the repository object, and arrays of issues (pull requests among
/// them), pulls, commits (newest first) and releases. Details and reviews of pull requests by number, where
/// there are any.
struct GitHubData {
  nlohmann::json repo;
  nlohmann::json issues = nlohmann::json::array();
  nlohmann::json pulls = nlohmann::json::array();
  nlohmann::json commits = nlohmann::json::array();
  nlohmann::json releases = nlohmann::json::array();
  std::map<std::int64_t, nlohmann::json> details;
  std::map<std::int64_t, nlohmann::json> reviews;

  [[nodiscard]] std::string name() const { return repo.at("full_name").get<std::string>(); }
};

/// A data set in files, as shared/testdata/github has it.
[[nodiscard]] GitHubData load_github_data(const std::filesystem::path& folder);

/// A repository of our own making, the same for the same seed: `pulls` pull requests and as many issues over
/// a year from 2024-01-01, two commits a pull request, a release a month; with deleted accounts, bots,
/// labels, drafts, reviews, and titles that try to break out of Markdown and HTML.
[[nodiscard]] GitHubData make_github_data(std::uint64_t seed, int pulls);

/// The behaviour of api.github.com over data sets in memory: paging with Link headers that point to
/// /repositories/ID, filters, weak ETags and 304, rate limits counted against a clock, refusals without
/// User-Agent or with a wrong token. Use as the handler of an HttpTestServer.
class GitHubEmulation {
 public:
  explicit GitHubEmulation(quern::ClockRef clock) : clock_(clock) {}

  void add(GitHubData data) { repositories_.push_back(std::move(data)); }
  [[nodiscard]] GitHubData& data(std::size_t index = 0) { return repositories_.at(index); }
  /// Requests of this address are redirected, with 301, to the numbered URL of the first repository.
  void rename_from(const std::string& old_name) { old_name_ = old_name; }
  /// The only token that is accepted; empty: any.
  void accept_token(const std::string& token) { token_ = token; }
  /// Requests in an hour; 304 costs nothing with a token, as at GitHub.
  void limit(int requests) { limit_ = requests; }
  [[nodiscard]] int used() const { return used_; }
  /// Cuts pages to this length, whatever is asked for; 0: as asked for. For paging through small data.
  void page_length(int entries) { page_length_ = entries; }

  [[nodiscard]] Reply answer(const ServedRequest& request);

 private:
  [[nodiscard]] Reply error(int status, const std::string& message) const;
  [[nodiscard]] Reply found(const ServedRequest& request, const nlohmann::json& value, bool authorised,
                            const std::string& link);
  [[nodiscard]] Reply list(const ServedRequest& request, const GitHubData& data, const std::string& what,
                           nlohmann::json entries, bool authorised);
  void add_limits(Reply& reply) const;

  quern::ClockRef clock_;
  std::vector<GitHubData> repositories_;
  std::string old_name_;
  std::string token_;
  int limit_ = 5000;
  int used_ = 0;
  int page_length_ = 0;
  std::int64_t reset_s_ = 0;
};

}  // namespace quern_test
