#include <fmt/format.h>

#include <iterator>

#include "quern/handlers/detail/text.hpp"
#include "quern/handlers/detail/url.hpp"
#include "quern/handlers/digest/render.hpp"
#include "wording.hpp"

namespace quern::inline v1::digest {
namespace {

std::string text(std::string_view plain) { return detail::escape_markdown(plain); }

// The same for the start of a line, where some marks mean more: headings, lists, rules.
std::string opening(std::string_view plain) {
  const auto digits = plain.find_first_not_of("0123456789");
  if (digits != std::string_view::npos && digits > 0 && (plain[digits] == '.' || plain[digits] == ')'))
    return std::string(plain.substr(0, digits)) + "\\" + text(plain.substr(digits));
  const bool mark = !plain.empty() && std::string_view("#+-=").find(plain[0]) != std::string_view::npos;
  return fmt::format("{}{}", mark ? "\\" : "", text(plain));
}

// A link whose target can't end early, or the label alone where there is none to follow.
std::string link(const std::string& label, const std::string& url) {
  const auto parsed = detail::parse_url(url);
  if (!parsed) return label;
  std::string target;
  for (const char c : parsed->text) {
    if (std::string_view("()<>[]\\`\"'*|").find(c) != std::string_view::npos) {
      target += fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      target += c;
    }
  }
  return fmt::format("[{}]({})", label, target);
}

std::string label_list(const std::vector<std::string>& labels) {
  if (labels.empty()) return {};
  std::string out;
  for (const auto& label : labels) out += fmt::format("{}{}", out.empty() ? "" : ", ", text(label));
  return " (" + out + ")";
}

class Page {
 public:
  Page(const DigestReport& report, const RenderOptions& options) : report_(report), options_(options) {}

  std::string render() {
    line("# " + text(render_title(report_)));
    if (!report_.repository.description.empty()) paragraph("> " + opening(report_.repository.description));
    paragraph(text(render_summary(report_)));
    for (const auto& gap : report_.gaps) paragraph("**Not complete:** " + text(gap) + ".");
    if (const auto filters = filters_of(report_.filters); !filters.empty())
      paragraph("Only " + text(filters) + ".");
    releases();
    pulls();
    issues();
    contributors();
    commits();
    const auto& info = report_.repository;
    const std::string home = info.url.empty() ? std::string() : link(text(info.full_name), info.url) + ", ";
    paragraph(fmt::format("{}as of {}", home, minute_of(report_.as_of)));
    return std::move(out_);
  }

 private:
  void line(const std::string& text_line) { out_ += text_line + "\n"; }
  void paragraph(const std::string& text_line) { out_ += "\n" + text_line + "\n"; }

  // A list under a heading with its length; nothing for an empty one.
  template <class Item, class Entry>
  void list(const char* heading, std::size_t count, const std::vector<Item>& items, const std::string& note,
            const Entry& entry) {
    if (count == 0) return;
    paragraph(fmt::format("## {} ({})", heading, count));
    out_ += "\n";
    std::size_t shown = 0;
    for (const auto& item : items) {
      if (shown++ == options_.max_items) break;
      line(fmt::format("- {}", entry(item)));
    }
    if (items.size() > options_.max_items)
      line(fmt::format("- and {} more", items.size() - options_.max_items));
    if (!note.empty()) line(fmt::format("{}{}", items.empty() ? "" : "\n", note));
  }

  static std::string pull_entry(const PullRequest& pull, bool merged) {
    std::string out = fmt::format("{} {}, by {}", link(fmt::format("#{}", pull.number), pull.url),
                                  text(pull.title), text(pull.author.label()));
    if (pull.draft) out += ", draft";
    if (const auto facts = facts_of(pull, merged); !facts.empty()) out += ", " + text(facts);
    return out + label_list(pull.labels);
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
      return fmt::format("{} {}, by {}{}", link(fmt::format("#{}", issue.number), issue.url),
                         text(issue.title), text(issue.author.label()), label_list(issue.labels));
    };
    list("Issues closed", report_.issues_closed.size(), report_.issues_closed, "", entry);
    const auto opened = issues_opened_only(report_);
    const std::size_t elsewhere = report_.issues_opened.size() - opened.size();
    list("Issues opened", report_.issues_opened.size(), opened,
         elsewhere == 0 ? "" : fmt::format("{} of them closed, see above.", elsewhere), entry);
  }

  void releases() {
    list("Releases", report_.releases.size(), report_.releases, "", [](const Release& release) {
      std::string out = "**" + link(text(release.tag), release.url) + "**";
      if (!release.name.empty() && release.name != release.tag) out += fmt::format(" {}", text(release.name));
      return fmt::format("{}, {}{}", out, date_of(release.published_at),
                         release.prerelease ? ", pre-release" : "");
    });
  }

  void contributors() {
    const auto& people = report_.contributors;
    if (people.empty()) return;
    paragraph(fmt::format("## Contributors ({})", people.size()));
    paragraph("| | PRs merged | PRs opened | Reviews | Commits | Issues |\n|---|---:|---:|---:|---:|---:|");
    std::size_t shown = 0;
    for (const auto& c : people) {
      if (shown++ == options_.max_items) break;
      line(fmt::format("| {}{} | {} | {} | {} | {} | {} |", text(c.person.label()),
                       c.first_time ? " (new)" : "", c.pulls_merged, c.pulls_opened, c.reviews, c.commits,
                       c.issues_opened));
    }
    if (people.size() > options_.max_items)
      paragraph(fmt::format("and {} more", people.size() - options_.max_items));
  }

  void commits() {
    const auto plain = plain_commits(report_);
    const std::size_t merges = report_.commits.size() - plain.size();
    list("Commits", report_.commits.size(), plain,
         merges == 0 ? "" : fmt::format("{} merges are not listed.", merges), [](const Commit& commit) {
           return fmt::format("{} {}, by {}", link(fmt::format("`{}`", short_sha(commit.sha)), commit.url),
                              text(commit.subject), text(commit.author.label()));
         });
  }

  const DigestReport& report_;
  const RenderOptions& options_;
  std::string out_;
};

}  // namespace

std::string render_markdown(const DigestReport& report, const RenderOptions& options) {
  return Page(report, options).render();
}

}  // namespace quern::inline v1::digest
