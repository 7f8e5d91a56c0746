#include <fmt/format.h>

#include "html_style.hpp"
#include "quern/handlers/detail/text.hpp"
#include "quern/handlers/detail/url.hpp"
#include "quern/handlers/digest/render.hpp"
#include "wording.hpp"

namespace quern::inline v1::digest {
namespace {

std::string text(std::string_view plain) { return detail::escape_html(plain); }

// `content` is HTML; the URL is a stranger's.
std::string link(const std::string& content, const std::string& url) {
  const auto parsed = detail::parse_url(url);
  if (!parsed) return content;
  return fmt::format(R"(<a href="{}" rel="noopener noreferrer">{}</a>)", text(parsed->text), content);
}

class Page {
 public:
  Page(const DigestReport& report, const RenderOptions& options) : report_(report), options_(options) {}

  std::string render() {
    // The policy keeps the page inert even if an escape were missing somewhere.
    out_ = fmt::format(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'\">\n"
        "<meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"color-scheme\" content=\"light "
        "dark\">\n"
        "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n",
        text(render_title(report_)), html_style);
    header();
    releases();
    pulls();
    issues();
    contributors();
    commits();
    line(fmt::format("<footer>As of {}. Made by quern.</footer>", minute_of(report_.as_of)));
    out_ += "</main>\n</body>\n</html>\n";
    return std::move(out_);
  }

 private:
  void line(const std::string& html) { out_ += html + "\n"; }

  void header() {
    const auto& info = report_.repository;
    line(fmt::format("<header>\n<h1>{}<small>{}</small></h1>", link(text(info.full_name), info.url),
                     text(period_of(report_.period))));
    if (!info.description.empty()) line(fmt::format("<p class=\"soft\">{}</p>", text(info.description)));
    line(fmt::format("<p class=\"summary\">{}</p>", text(render_summary(report_))));
    for (const auto& gap : report_.gaps)
      line(fmt::format("<p class=\"note\">Not complete: {}.</p>", text(gap)));
    if (const auto filters = filters_of(report_.filters); !filters.empty())
      line(fmt::format("<p class=\"soft\">Only {}.</p>", text(filters)));
    line("</header>");
    if (report_.empty()) return;
    line("<ul class=\"tiles\">");
    tile(report_.pulls_merged.size(), "PR merged", "PRs merged");
    tile(report_.pulls_opened.size(), "PR opened", "PRs opened");
    tile(report_.issues_closed.size(), "issue closed", "issues closed");
    tile(report_.issues_opened.size(), "issue opened", "issues opened");
    tile(report_.commits.size(), "commit", "commits");
    tile(report_.contributors.size(), "contributor", "contributors");
    tile(report_.releases.size(), "release", "releases");
    line("</ul>");
  }

  void tile(std::size_t count, const char* one, const char* many) {
    if (count > 0) line(fmt::format("<li><b>{}</b><span>{}</span></li>", count, count == 1 ? one : many));
  }

  // A list under a heading with its length; nothing for an empty one.
  template <class Item, class Entry>
  void list(const char* heading, std::size_t count, const std::vector<Item>& items, const std::string& note,
            const Entry& entry) {
    if (count == 0) return;
    line(fmt::format("<section>\n<h2>{} <span>{}</span></h2>\n<ul class=\"list\">", heading, count));
    std::size_t shown = 0;
    for (const auto& item : items) {
      if (shown++ == options_.max_items) break;
      line("<li>" + entry(item) + "</li>");
    }
    if (items.size() > options_.max_items)
      line(fmt::format("<li class=\"soft\">and {} more</li>", items.size() - options_.max_items));
    line("</ul>");
    if (!note.empty()) line("<p class=\"soft\">" + note + "</p>");
    line("</section>");
  }

  static std::string numbered(std::int64_t number, const std::string& url, const std::string& title) {
    return fmt::format("<span class=\"number\">{}</span>{}", link(fmt::format("#{}", number), url),
                       text(title));
  }
  static std::string labels(const std::vector<std::string>& names) {
    std::string out;
    for (const auto& name : names) out += fmt::format(" <span class=\"label\">{}</span>", text(name));
    return out;
  }
  static std::string pull_entry(const PullRequest& pull, bool merged) {
    std::string facts = text(pull.author.label());
    if (pull.draft) facts += ", draft";
    if (const auto known = facts_of(pull, merged); !known.empty()) facts += ", " + text(known);
    return fmt::format("{}{}<span class=\"facts\">{}</span>", numbered(pull.number, pull.url, pull.title),
                       labels(pull.labels), facts);
  }

  void pulls() {
    list("Pull requests merged", report_.pulls_merged.size(), report_.pulls_merged, "",
         [](const PullRequest& pull) { return pull_entry(pull, true); });
    const auto opened = opened_only(report_);
    const std::size_t elsewhere = report_.pulls_opened.size() - opened.size();
    list("Pull requests opened", report_.pulls_opened.size(), opened,
         elsewhere == 0 ? "" : fmt::format("{} of them merged, see above.", elsewhere),
         [](const PullRequest& pull) { return pull_entry(pull, false); });
    list("Pull requests closed without merging", report_.pulls_closed_unmerged.size(),
         report_.pulls_closed_unmerged, "", [](const PullRequest& pull) { return pull_entry(pull, false); });
  }

  void issues() {
    const auto entry = [](const Issue& issue) {
      return fmt::format("{}{}<span class=\"facts\">{}</span>",
                         numbered(issue.number, issue.url, issue.title), labels(issue.labels),
                         text(issue.author.label()));
    };
    list("Issues closed", report_.issues_closed.size(), report_.issues_closed, "", entry);
    const auto opened = issues_opened_only(report_);
    const std::size_t elsewhere = report_.issues_opened.size() - opened.size();
    list("Issues opened", report_.issues_opened.size(), opened,
         elsewhere == 0 ? "" : fmt::format("{} of them closed, see above.", elsewhere), entry);
  }

  void releases() {
    list("Releases", report_.releases.size(), report_.releases, "", [](const Release& release) {
      std::string out = "<b>" + link(text(release.tag), release.url) + "</b>";
      if (!release.name.empty() && release.name != release.tag) out += fmt::format(" {}", text(release.name));
      return fmt::format("{}<span class=\"facts\">{}{}</span>", out, date_of(release.published_at),
                         release.prerelease ? ", pre-release" : "");
    });
  }

  void contributors() {
    const auto& people = report_.contributors;
    if (people.empty()) return;
    line(fmt::format(
        "<section>\n<h2>Contributors <span>{}</span></h2>\n<div class=\"scroll\">\n<table>\n"
        "<tr><th scope=\"col\">Who</th><th scope=\"col\">PRs merged</th><th scope=\"col\">PRs opened</th>"
        "<th scope=\"col\">Reviews</th><th scope=\"col\">Commits</th><th scope=\"col\">Issues</th></tr>",
        people.size()));
    std::size_t shown = 0;
    for (const auto& c : people) {
      if (shown++ == options_.max_items) break;
      line(fmt::format("<tr><td>{}{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                       text(c.person.label()), c.first_time ? " <span class=\"label\">new</span>" : "",
                       c.pulls_merged, c.pulls_opened, c.reviews, c.commits, c.issues_opened));
    }
    line("</table>\n</div>");
    if (people.size() > options_.max_items)
      line(fmt::format("<p class=\"soft\">and {} more</p>", people.size() - options_.max_items));
    line("</section>");
  }

  void commits() {
    const auto plain = plain_commits(report_);
    const std::size_t merges = report_.commits.size() - plain.size();
    list("Commits", report_.commits.size(), plain,
         merges == 0 ? "" : fmt::format("{} merges are not listed.", merges), [](const Commit& commit) {
           return fmt::format("{} {}<span class=\"facts\">{}, {}</span>",
                              link("<code>" + short_sha(commit.sha) + "</code>", commit.url),
                              text(commit.subject), text(commit.author.label()),
                              date_of(commit.committed_at));
         });
  }

  const DigestReport& report_;
  const RenderOptions& options_;
  std::string out_;
};

}  // namespace

std::string render_html(const DigestReport& report, const RenderOptions& options) {
  return Page(report, options).render();
}

}  // namespace quern::inline v1::digest
