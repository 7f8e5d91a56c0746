#include "github_api.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "../retry_after.hpp"
#include "quern/handlers/detail/text.hpp"
#include "quern/handlers/detail/url.hpp"

namespace quern::inline v1::digest {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr int max_redirects = 5;
constexpr int max_depth = 64;
constexpr Duration shortest_wait = 1s;
constexpr Duration unnamed_wait = 60s;
constexpr Duration longest_unnamed_wait = 1h;
constexpr Duration longest_wait = 24h;

// The members that are read, at whatever depth. The rest, nine tenths of an answer, is dropped while it is
// parsed: bodies of issues, mail addresses, and a whole repository object twice in every pull request.
const std::set<std::string, std::less<>>& kept_members() {
  static const std::set<std::string, std::less<>> names{
      "additions",  "archived",    "author",       "author_association", "changed_files", "closed_at",
      "commit",     "commits",     "committer",    "created_at",         "date",          "default_branch",
      "deletions",  "description", "draft",        "full_name",          "has_issues",    "html_url",
      "labels",     "login",       "merged_at",    "merged_by",          "message",       "name",
      "number",     "parents",     "prerelease",   "published_at",       "pull_request",  "open_issues_count",
      "sha",        "state",       "submitted_at", "tag_name",           "title",         "type",
      "updated_at", "user",
  };
  return names;
}

json parse(const std::string& text) {
  const auto keep = [](int depth, json::parse_event_t event, json& parsed) {
    if (depth > max_depth) throw GitHubError("GitHub's answer is nested too deeply", 0, false);
    return event != json::parse_event_t::key || kept_members().contains(parsed.get_ref<const std::string&>());
  };
  return json::parse(text, keep);
}

// The URL of a relation in a Link header (RFC 8288): <URL>; rel="next", <URL>; rel="last"
std::string related(std::string_view link, std::string_view relation) {
  while (true) {
    const auto open = link.find('<');
    if (open == std::string_view::npos) return {};
    const auto close = link.find('>', open);
    if (close == std::string_view::npos) return {};
    const std::string_view url = link.substr(open + 1, close - open - 1);
    link.remove_prefix(close + 1);
    // Up to the next comma that is not inside quotes stand this link's parameters.
    bool quoted = false;
    std::size_t end = 0;
    for (; end < link.size() && (quoted || link[end] != ','); ++end)
      if (link[end] == '"') quoted = !quoted;
    const std::string parameters = detail::lower(link.substr(0, end));
    link.remove_prefix(end);
    const auto rel = parameters.find("rel=");
    if (rel == std::string::npos) continue;
    std::string_view value = std::string_view(parameters).substr(rel + 4);
    if (value.starts_with('"')) {
      value.remove_prefix(1);
      value = value.substr(0, value.find('"'));
    } else {
      value = value.substr(0, value.find(';'));
    }
    // One link may stand for several relations, separated by blanks.
    if (fmt::format(" {} ", value).find(fmt::format(" {} ", relation)) != std::string::npos)
      return std::string(url);
  }
}

std::string header(const HttpResponse& response, std::string_view name) {
  return std::string(response.headers.last(name).value_or(""));
}

// The "message" of an error, as far as there is one.
std::string message_of(const HttpResponse& response) {
  const json body = json::parse(response.body, nullptr, false);
  if (!body.is_object() || !body.contains("message") || !body["message"].is_string()) return {};
  return detail::clean_line(body["message"].get<std::string>(), 200);
}

// A refusal is a rate limit by the signs that GitHub documents: status 429; or 403 together with Retry-After,
// with x-ratelimit-remaining: 0, or with a message that speaks of a rate limit or of abuse detection (its
// older name for the secondary limits). Any other 403 (a token without the permission, a request without
// User-Agent, a blocked account) stays a 403 however long one waits.
bool is_rate_limit(const HttpResponse& response) {
  if (response.status == 429) return true;
  if (response.status != 403) return false;
  if (response.headers.last("retry-after") || header(response, "x-ratelimit-remaining") == "0") return true;
  const std::string message = detail::lower(message_of(response));
  return message.find("rate limit") != std::string::npos ||
         message.find("abuse detection") != std::string::npos;
}

RateLimited rate_limit(const HttpResponse& response, TimePoint now, int earlier_refusals) {
  const auto limited = [](const std::string& why, Duration wait) {
    wait = std::clamp(wait, shortest_wait, longest_wait);
    return RateLimited(fmt::format("GitHub asks to wait {} ({})", to_text(wait), why), wait);
  };
  // In this order, as GitHub's documentation has it.
  if (const auto value = response.headers.last("retry-after"))
    if (const auto wait = detail::parse_retry_after(*value, now)) return limited("retry-after", *wait);
  if (header(response, "x-ratelimit-remaining") == "0") {
    if (const auto reset = detail::parse_seconds(header(response, "x-ratelimit-reset"))) {
      const auto latest =
          std::chrono::ceil<std::chrono::seconds>(now + longest_wait).time_since_epoch().count();
      const TimePoint at{std::chrono::seconds(std::min<std::int64_t>(*reset, latest))};
      return limited("its rate limit is used up", std::chrono::ceil<std::chrono::seconds>(at - now));
    }
  }
  // No time is named: a minute, and twice as long after every further refusal.
  Duration wait = unnamed_wait;
  for (int i = 0; i < earlier_refusals && wait < longest_unnamed_wait; ++i) wait *= 2;
  return limited("a secondary rate limit", std::min(wait, longest_unnamed_wait));
}

bool is_redirect(int status) { return status == 301 || status == 302 || status == 307 || status == 308; }

}  // namespace

GitHubApi::GitHubApi(HttpTransport& transport, ClockRef clock, const GitHubOptions& options,
                     ResponseCache* cache, const GitHubFetch& fetch)
    : transport_(transport), clock_(clock), options_(options), cache_(cache), fetch_(fetch) {
  const auto base = detail::parse_url(options.base_url);
  if (!base || base->has_userinfo || base->text.find_first_of("?#") != std::string::npos)
    throw InvalidArgument("base_url", "has to be an http or https URL without user, query and fragment");
  if (!options.token.empty() && base->scheme == "http" && !base->loopback())
    throw InvalidArgument("base_url", "a token is only sent over https, or to this machine");
  const bool printable = std::ranges::all_of(options.token, [](char c) { return c > 0x20 && c < 0x7F; });
  if (!printable) throw InvalidArgument("token", "holds a blank or a character that is not ASCII");
  if (options.user_agent.empty())
    throw InvalidArgument("user_agent", "is empty; GitHub refuses requests without one");
  if (options.max_pages < 1) throw InvalidArgument("max_pages", "has to be at least 1");
  origin_ = base->origin();
}

std::string GitHubApi::url(const std::string& path) const {
  std::string_view base = options_.base_url;
  while (base.ends_with('/')) base.remove_suffix(1);
  return std::string(base) + path;
}

HttpResponse GitHubApi::send(const std::string& url, const std::string& etag) const {
  HttpRequest request;
  request.url = url;
  request.headers = {{"Accept", "application/vnd.github+json"},
                     {"X-GitHub-Api-Version", "2022-11-28"},
                     {"User-Agent", options_.user_agent}};
  if (!options_.token.empty()) request.headers.add("Authorization", "Bearer " + options_.token);
  if (!etag.empty()) request.headers.add("If-None-Match", etag);
  request.connect_timeout = options_.connect_timeout;
  request.timeout = options_.timeout;
  request.max_response_bytes = options_.max_response_bytes;
  request.environment_proxy = options_.environment_proxy;
  request.stop = fetch_.stop;
  try {
    return transport_.perform(request);
  } catch (const HttpError& error) {
    if (error.failure() == HttpFailure::aborted) throw;
    throw GitHubError(fmt::format("{}: no answer from GitHub: {}", fetch_.repository, error.what()), 0,
                      error.transient());
  }
}

GitHubPage GitHubApi::page(const CachedResponse& kept) const {
  return {.value = parse(kept.body), .next = related(kept.link, "next"), .last = related(kept.link, "last")};
}

GitHubPage GitHubApi::get(const std::string& start, Ask ask) {
  std::string url = start;
  for (int redirects = 0;; ++redirects) {
    // Every URL that is asked for passes here, be it from a Link header, a redirect or the cache, and so the
    // token can't reach another origin.
    const auto parsed = detail::parse_url(url);
    if (!parsed || parsed->origin() != origin_ || parsed->has_userinfo)
      throw GitHubError(fmt::format("{}: GitHub's answer points away from {}, which is not followed",
                                    fetch_.repository, origin_),
                        0, false);

    std::optional<CachedResponse> kept = cache_ != nullptr ? cache_->get(url) : std::nullopt;
    GitHubPage known;
    if (kept) {
      try {
        known = page(*kept);
      } catch (const json::exception&) {
        kept.reset();  // A damaged entry is as good as none.
      }
    }
    if (kept && ask == Ask::if_old && fetch_.reuse_since && kept->stored_at >= *fetch_.reuse_since) {
      known.reused = true;
      return known;
    }

    const HttpResponse response = send(url, kept ? kept->etag : std::string());
    if (is_redirect(response.status)) {
      const auto location = response.headers.last("location");
      const auto target = location ? detail::resolve_url(url, *location) : std::nullopt;
      if (!target || redirects == max_redirects)
        throw GitHubError(
            fmt::format("{}: GitHub redirects {}", fetch_.repository, target ? "in a circle" : "to nowhere"),
            response.status, false);
      url = target->text;
      continue;
    }
    if (response.status == 304 && kept) {
      kept->stored_at = clock_.now();
      cache_->put(url, *kept);
      known.unchanged = true;
      return known;
    }
    if (response.status != 200) refuse(response);

    CachedResponse fresh{.etag = header(response, "etag"),
                         .link = header(response, "link"),
                         .body = {},
                         .stored_at = clock_.now()};
    GitHubPage answer{.value = {}, .next = related(fresh.link, "next"), .last = related(fresh.link, "last")};
    try {
      answer.value = parse(response.body);
    } catch (const json::exception&) {
      // An answer that was cut on its way, or an error page of a proxy in between.
      throw GitHubError(fmt::format("{}: GitHub's answer is not JSON", fetch_.repository), 200, true);
    }
    if (cache_ != nullptr) {
      fresh.body = answer.value.dump();
      cache_->put(url, fresh);
    }
    return answer;
  }
}

void GitHubApi::refuse(const HttpResponse& response) const {
  if (is_rate_limit(response)) throw rate_limit(response, clock_.now(), fetch_.earlier_refusals);

  const int status = response.status;
  const auto advice = [&]() -> std::string_view {
    switch (status) {
      case 401:
        return "the token was not accepted; check that it is complete and has not expired";
      case 403:
        return "access was refused; check that the token may read this repository";
      case 404:
        return "not found; check owner and name, and for a private repository that the token may read it";
      case 409:
        return "the repository is empty or being created";
      case 410:
        return "gone; the repository or this part of it was removed or switched off";
      case 422:
        return "the request was refused as invalid; check owner, name and period";
      case 451:
        return "unavailable for legal reasons";
      default:
        return status >= 500 ? "GitHub has a fault of its own" : "an answer that was not expected";
    }
  }();
  const std::string message = message_of(response);
  const bool transient = status >= 500 || status == 408 || status == 425 || (status >= 100 && status < 400);
  throw GitHubError(fmt::format("{}: {} (status {}{}{})", fetch_.repository, advice, status,
                                message.empty() ? "" : ": ", message),
                    status, transient);
}

}  // namespace quern::inline v1::digest
