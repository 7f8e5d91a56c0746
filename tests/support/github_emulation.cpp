#include "support/github_emulation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <random>
#include <stdexcept>

#include "quern/core/time.hpp"

namespace quern_test {
namespace {

using nlohmann::json;
using quern::parse_rfc3339;
using quern::TimePoint;
using quern::to_rfc3339;
using quern::to_us;

json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("can't read " + path.string());
  return json::parse(file);
}

std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> parts;
  std::size_t at = 1;
  while (at <= path.size()) {
    const auto slash = std::min(path.find('/', at), path.size());
    parts.push_back(path.substr(at, slash - at));
    at = slash + 1;
  }
  return parts;
}

std::string query(const ServedRequest& request, const std::string& name, const std::string& otherwise) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? otherwise : found->second;
}

std::string encode(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == ':' ? "%3A" : std::string(1, c);
  return out;
}

}  // namespace

GitHubData load_github_data(const std::filesystem::path& folder) {
  return {.repo = read_json(folder / "repo.json"),
          .issues = read_json(folder / "issues.json"),
          .pulls = read_json(folder / "pulls.json"),
          .commits = read_json(folder / "commits.json"),
          .releases = read_json(folder / "releases.json"),
          .details = {},
          .reviews = {}};
}

void GitHubEmulation::add_limits(Reply& reply) const {
  reply.headers.emplace_back("X-RateLimit-Limit", std::to_string(limit_));
  reply.headers.emplace_back("X-RateLimit-Remaining", std::to_string(std::max(0, limit_ - used_)));
  reply.headers.emplace_back("X-RateLimit-Reset", std::to_string(reset_s_));
}

Reply GitHubEmulation::error(int status, const std::string& message) const {
  Reply reply = Reply::json(
      status, json{{"message", message}, {"documentation_url", "https://docs.github.com/rest"}}.dump());
  add_limits(reply);
  return reply;
}

Reply GitHubEmulation::found(const ServedRequest& request, const json& value, bool authorised,
                             const std::string& link) {
  const std::string body = value.dump();
  const std::string etag = fmt::format("\"{}\"", std::hash<std::string>{}(body));
  Reply reply = Reply::json(200, body);
  reply.headers.emplace_back("ETag", "W/" + etag);
  if (!link.empty()) reply.headers.emplace_back("Link", link);
  const bool same = request.header("if-none-match").find(etag) != std::string::npos;
  if (!same || !authorised) ++used_;
  if (same) {
    reply.status = 304;
    reply.body.clear();
  }
  add_limits(reply);
  return reply;
}

Reply GitHubEmulation::list(const ServedRequest& request, const GitHubData& data, const std::string& what,
                            json entries, bool authorised) {
  const auto time = [](const json& entry, const char* key) {
    return parse_rfc3339(entry.at(key).get<std::string>());
  };
  const auto keep = [&](const std::function<bool(const json&)>& wanted) {
    json kept = json::array();
    for (auto& entry : entries)
      if (wanted(entry)) kept.push_back(std::move(entry));
    entries = std::move(kept);
  };
  if (what == "issues" || what == "pulls") {
    const std::string state = query(request, "state", "open");
    if (state != "all") keep([&](const json& entry) { return entry.at("state") == state; });
    if (const auto since = query(request, "since", ""); what == "issues" && !since.empty())
      keep([&](const json& entry) { return time(entry, "updated_at") >= parse_rfc3339(since); });
    const char* key = query(request, "sort", "created") == "updated" ? "updated_at" : "created_at";
    const bool ascending = query(request, "direction", "desc") == "asc";
    std::vector<json> sorted(entries.begin(), entries.end());
    std::ranges::sort(sorted, [&](const json& a, const json& b) {
      const auto left = std::pair(time(a, key), a.at("number").get<std::int64_t>());
      const auto right = std::pair(time(b, key), b.at("number").get<std::int64_t>());
      return ascending ? left < right : right < left;
    });
    entries = sorted;
  } else if (what == "commits") {
    const auto committed = [](const json& entry) {
      return parse_rfc3339(entry.at("commit").at("committer").at("date").get<std::string>());
    };
    if (const auto since = query(request, "since", ""); !since.empty())
      keep([&](const json& entry) { return committed(entry) >= parse_rfc3339(since); });
    if (const auto until = query(request, "until", ""); !until.empty())
      keep([&](const json& entry) { return committed(entry) <= parse_rfc3339(until); });
  }

  const auto length =
      static_cast<std::size_t>(page_length_ > 0 && query(request, "per_page", "30") != "1"
                                   ? page_length_
                                   : std::clamp(std::stoi(query(request, "per_page", "30")), 1, 100));
  const auto page = static_cast<std::size_t>(std::max(1, std::stoi(query(request, "page", "1"))));
  const std::size_t last = std::max<std::size_t>(1, (entries.size() + length - 1) / length);
  json shown = json::array();
  for (std::size_t i = (page - 1) * length; i < std::min(entries.size(), page * length); ++i)
    shown.push_back(entries[i]);

  const auto link = [&](std::size_t number, const char* relation) {
    std::string url =
        "http://" + request.header("host") + "/repositories/" + data.repo.at("id").dump() + "/" + what + "?";
    for (const auto& [name, value] : request.query)
      if (name != "page") url += name + "=" + encode(value) + "&";
    return "<" + url + "page=" + std::to_string(number) + ">; rel=\"" + relation + "\"";
  };
  std::string links;
  const auto add = [&](const std::string& one) { links += (links.empty() ? "" : ", ") + one; };
  if (page > 1) add(link(page - 1, "prev"));
  if (page < last) add(link(page + 1, "next"));
  if (page < last) add(link(last, "last"));
  if (page > 1) add(link(1, "first"));
  return found(request, shown, authorised, links);
}

Reply GitHubEmulation::answer(const ServedRequest& request) {
  const std::int64_t now_s = to_us(clock_.now()) / 1'000'000;
  if (now_s >= reset_s_) {
    reset_s_ = now_s + 3600;
    used_ = 0;
  }
  if (request.header("user-agent").empty())
    return {.status = 403,
            .headers = {{"Content-Type", "text/html"}},
            .body =
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent "
                "header."};
  const std::string authorization = request.header("authorization");
  if (!token_.empty() && !authorization.empty() && authorization != "Bearer " + token_)
    return error(401, "Bad credentials");
  const bool authorised = !authorization.empty();
  if (used_ >= limit_) return error(403, "API rate limit exceeded for 127.0.0.1.");

  const auto parts = split_path(request.path);
  const bool by_id = parts.size() >= 2 && parts[0] == "repositories";
  const bool by_name = parts.size() >= 3 && parts[0] == "repos";
  if (!by_id && !by_name) return ++used_, error(404, "Not Found");
  const std::string name = by_name ? parts[1] + "/" + parts[2] : "";
  std::vector<std::string> rest(parts.begin() + (by_id ? 2 : 3), parts.end());
  if (by_name && !old_name_.empty() && name == old_name_) {
    ++used_;
    std::string target = "http://" + request.header("host") + "/repositories/" + data().repo.at("id").dump();
    for (const auto& part : rest) target += "/" + part;
    Reply reply = error(301, "Moved Permanently");
    reply.headers.emplace_back("Location", target);
    return reply;
  }
  const auto data = std::ranges::find_if(repositories_, [&](const GitHubData& d) {
    return by_id ? d.repo.at("id").dump() == parts[1] : d.name() == name;
  });
  if (data == repositories_.end()) return ++used_, error(404, "Not Found");
  if (rest.empty()) return found(request, data->repo, authorised, "");

  const std::map<std::string, const json*> lists{{"issues", &data->issues},
                                                 {"pulls", &data->pulls},
                                                 {"commits", &data->commits},
                                                 {"releases", &data->releases}};
  const auto what = lists.find(rest[0]);
  if (what == lists.end()) return ++used_, error(404, "Not Found");
  if (rest.size() == 1) return list(request, *data, rest[0], *what->second, authorised);
  const std::int64_t number = rest[0] == "pulls" ? std::stoll(rest[1]) : 0;
  if (rest.size() == 2 && data->details.contains(number))
    return found(request, data->details[number], authorised, "");
  if (rest.size() == 3 && rest[2] == "reviews" && data->reviews.contains(number))
    return list(request, *data, "pulls/" + rest[1] + "/reviews", data->reviews[number], authorised);
  return ++used_, error(404, "Not Found");
}

GitHubData make_github_data(std::uint64_t seed, int pulls) {
  std::mt19937_64 random(seed);
  // Not std::uniform_int_distribution, whose numbers differ between standard libraries.
  const auto draw = [&](int below) { return static_cast<int>(random() % static_cast<std::uint64_t>(below)); };
  const TimePoint start = parse_rfc3339("2024-01-01T00:00:00Z");
  const auto hour = std::chrono::hours(1);
  const int spacing = std::max(1, 360 * 24 / std::max(1, pulls));

  const std::array<const char*, 8> titles{"Fix the build on arm64",
                                          "feat: retry with jitter",
                                          "Add `--quiet` and *bold* claims",
                                          "[click](https://evil.example) me",
                                          "<script>alert('x')</script>",
                                          "cc @octocat and @team/core",
                                          "Merge_the_snake_case | table | cell",
                                          "Tab\tand\nnew line \xE2\x80\xAE reversed"};
  const std::array<const char*, 6> people{"ada", "grace", "linus", "renovate[bot]", "barbara", "edsger"};
  const std::array<const char*, 4> labels{"bug", "enhancement", "good first issue", "area/<core>"};
  const auto user = [&](int index) -> json {
    if (index == 6) return nullptr;  // An account that is gone.
    const std::string login = people[static_cast<std::size_t>(index)];
    return {{"login", login}, {"id", 100 + index}, {"type", login.ends_with("[bot]") ? "Bot" : "User"}};
  };
  const auto some_labels = [&] {
    json out = json::array();
    for (const char* label : labels)
      if (draw(4) == 0)
        out.push_back({{"id", 1}, {"name", label}, {"color", "ededed"}, {"description", nullptr}});
    return out;
  };
  const auto or_null = [](bool known, TimePoint time) {
    return known ? json(to_rfc3339(time)) : json(nullptr);
  };

  GitHubData data;
  data.repo = {{"id", 4242},
               {"name", "mill"},
               {"full_name", "acme/mill"},
               {"private", false},
               {"html_url", "https://github.com/acme/mill"},
               {"description", "Grinds <b>everything</b>"},
               {"default_branch", "main"},
               {"archived", false},
               {"has_issues", true},
               {"open_issues_count", 0},
               {"owner", {{"login", "acme"}, {"id", 1}, {"type", "Organization"}}}};
  int number = 0;
  int open = 0;
  for (int i = 0; i < pulls; ++i) {
    const TimePoint created = start + hour * (i * spacing + draw(spacing));
    const int author = draw(7);
    const std::string title = titles[static_cast<std::size_t>(draw(8))];
    const int fate = draw(4);  // 0: open, 1: closed, else merged
    const TimePoint closed = created + hour * (1 + draw(400));
    ++number;
    json pull = {{"id", 1000 + number},
                 {"number", number},
                 {"state", fate == 0 ? "open" : "closed"},
                 {"title", title},
                 {"user", user(author)},
                 {"body", "Long text that nobody reads."},
                 {"labels", some_labels()},
                 {"draft", fate == 0 && draw(3) == 0},
                 {"html_url", "https://github.com/acme/mill/pull/" + std::to_string(number)},
                 {"created_at", to_rfc3339(created)},
                 {"updated_at", to_rfc3339(fate == 0 ? created : closed)},
                 {"closed_at", or_null(fate != 0, closed)},
                 {"merged_at", or_null(fate > 1, closed)},
                 {"author_association", i < 3 ? "FIRST_TIME_CONTRIBUTOR" : "CONTRIBUTOR"},
                 {"base", {{"ref", "main"}, {"repo", data.repo}}},
                 {"head", {{"ref", "topic"}, {"repo", data.repo}}}};
    if (fate == 0) ++open;
    json as_issue = pull;
    for (const char* key : {"base", "head", "merged_at", "draft"}) as_issue.erase(key);
    as_issue["pull_request"] = {{"html_url", pull["html_url"]}, {"merged_at", pull["merged_at"]}};
    data.issues.push_back(std::move(as_issue));
    json detail = pull;
    detail["additions"] = draw(500);
    detail["deletions"] = draw(200);
    detail["changed_files"] = 1 + draw(20);
    detail["commits"] = 2;
    detail["merged_by"] = fate > 1 ? user(draw(6)) : json(nullptr);
    data.details[number] = std::move(detail);
    json reviews = json::array();
    for (int r = draw(4); r > 0; --r)
      reviews.push_back({{"id", r},
                         {"user", user(draw(7))},
                         {"state", draw(5) == 0 ? "PENDING" : "APPROVED"},
                         {"submitted_at", to_rfc3339(closed)}});
    data.reviews[number] = std::move(reviews);
    data.pulls.push_back(std::move(pull));
    for (int c = 0; c < 2; ++c) {
      std::string sha;
      while (sha.size() < 40) sha += "0123456789abcdef"[random() % 16];
      const TimePoint committed = created + hour * c;
      json parents = json::array({{{"sha", std::string(40, 'a')}}});
      if (draw(10) == 0) parents.push_back({{"sha", std::string(40, 'b')}});
      const json account = user(author);
      const std::string login = account.is_null() ? "Gone Person" : account["login"].get<std::string>();
      data.commits.push_back(
          {{"sha", sha},
           {"html_url", "https://github.com/acme/mill/commit/" + sha},
           {"author", account},
           {"parents", std::move(parents)},
           {"commit",
            {{"message", title + " part " + std::to_string(c) + "\n\nDetails."},
             {"author", {{"name", login}, {"email", login + "@example.com"}, {"date", to_rfc3339(created)}}},
             {"committer", {{"name", login}, {"date", to_rfc3339(committed)}}}}}});
    }
    const TimePoint reported = created + hour * draw(24);
    const bool solved = draw(2) == 0;
    ++number;
    data.issues.push_back({{"id", 5000 + number},
                           {"number", number},
                           {"state", solved ? "closed" : "open"},
                           {"title", titles[static_cast<std::size_t>(draw(8))]},
                           {"user", user(draw(7))},
                           {"labels", some_labels()},
                           {"html_url", "https://github.com/acme/mill/issues/" + std::to_string(number)},
                           {"created_at", to_rfc3339(reported)},
                           {"updated_at", to_rfc3339(solved ? reported + hour * 50 : reported)},
                           {"closed_at", or_null(solved, reported + hour * 50)}});
    if (!solved) ++open;
  }
  data.repo["open_issues_count"] = open;
  std::vector<json> commits(data.commits.begin(), data.commits.end());
  std::ranges::sort(commits, std::ranges::greater(), [](const json& commit) {
    return std::pair(commit["commit"]["committer"]["date"].get<std::string>(),
                     commit["sha"].get<std::string>());
  });
  data.commits = commits;
  for (int month = 12; month >= 1; --month) {
    const TimePoint published = start + hour * (24 * 30 * month - draw(48));
    const std::string tag = "v1." + std::to_string(month);
    data.releases.push_back({{"id", month},
                             {"tag_name", tag},
                             {"name", "Release " + tag},
                             {"draft", month == 12},
                             {"prerelease", month % 4 == 0},
                             {"author", user(0)},
                             {"html_url", "https://github.com/acme/mill/releases/tag/" + tag},
                             {"created_at", to_rfc3339(published - hour)},
                             {"published_at", or_null(month != 12, published)}});
  }
  return data;
}

}  // namespace quern_test
