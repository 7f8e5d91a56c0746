#include "git_text.hpp"

#include <algorithm>
#include <charconv>

#include "quern/handlers/detail/text.hpp"
#include "quern/handlers/detail/url.hpp"

namespace quern::inline v1::digest {
namespace {

bool alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// The number that `text` begins with; removed from it.
std::optional<std::int64_t> take_number(std::string_view& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number <= 0 || number > 1'000'000'000) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::string_view first_line_with_text(std::string_view text) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) return line;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return {};
}

}  // namespace

bool url_safe(std::string_view name) noexcept {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return alphanumeric(c) || c == '-' || c == '_' || c == '.' || c == '/';
  });
}

Remote parse_remote(std::string_view url) {
  std::string_view rest = url;
  const bool with_scheme = url.find("://") != std::string_view::npos;
  if (const auto scheme = rest.find("://"); scheme != std::string_view::npos) {
    rest.remove_prefix(scheme + 3);
    // What stands before the path is host, port, and maybe a user with a password; only the host is of
    // interest.
    const auto slash = rest.find('/');
    if (slash == std::string_view::npos) return {};
    if (const auto at = rest.substr(0, slash).rfind('@'); at != std::string_view::npos)
      rest.remove_prefix(at + 1);
  } else if (const auto colon = rest.find(':'); colon != std::string_view::npos && rest.find('/') > colon) {
    if (const auto at = rest.substr(0, colon).rfind('@'); at != std::string_view::npos)
      rest.remove_prefix(at + 1);
  } else {
    return {};  // A path on this machine.
  }
  const auto host_end = rest.find_first_of(":/");
  if (host_end == std::string_view::npos) return {};
  const std::string host = detail::lower(rest.substr(0, host_end));
  std::string_view path = rest.substr(host_end);
  // After a colon comes a port in a URL, and the path itself in the short form.
  if (path.starts_with(':')) path.remove_prefix(with_scheme ? std::min(path.size(), path.find('/')) : 1);
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  if (path.ends_with(".git")) path.remove_suffix(4);
  const auto slash = path.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == path.size() || !url_safe(path)) return {};
  Remote remote{.full_name = std::string(path), .web_url = {}};
  if ((host == "github.com" || host == "ssh.github.com") &&
      path.find('/', slash + 1) == std::string_view::npos)
    remote.web_url = "https://github.com/" + remote.full_name;
  return remote;
}

std::optional<PullTrace> find_pull(std::string_view subject, std::string_view body, bool merge) {
  constexpr std::string_view merged = "Merge pull request #";
  if (merge && subject.starts_with(merged)) {
    std::string_view rest = subject.substr(merged.size());
    const auto number = take_number(rest);
    if (!number) return std::nullopt;
    std::string title = detail::clean_line(first_line_with_text(body));
    if (title.empty()) title = detail::clean_line(subject);
    return PullTrace{*number, std::move(title)};
  }
  // The last "(#N)" is the pull request's own; earlier ones belong to what it reverts or ports.
  const auto open = subject.rfind(" (#");
  if (merge || open == std::string_view::npos || open == 0) return std::nullopt;
  std::string_view rest = subject.substr(open + 3);
  const auto number = take_number(rest);
  if (!number || rest != ")") return std::nullopt;
  return PullTrace{*number, detail::clean_line(subject.substr(0, open))};
}

Person git_person(std::string_view name, std::string_view email) {
  Person person{.login = {}, .name = detail::clean_line(name, 100)};
  constexpr std::string_view hidden = "@users.noreply.github.com";
  if (detail::lower(email).ends_with(hidden)) {
    std::string_view login = email.substr(0, email.size() - hidden.size());
    // "12345+login" since 2017, "login" before.
    if (const auto plus = login.find('+'); plus != std::string_view::npos) login.remove_prefix(plus + 1);
    std::string_view plain = login;
    if (plain.ends_with("[bot]")) plain.remove_suffix(5);
    const bool valid =
        std::ranges::all_of(plain, [](char c) { return alphanumeric(c) || c == '-' || c == '_'; });
    if (!plain.empty() && plain.size() <= 100 && valid) person.login = login;
  }
  person.bot = person.login.ends_with("[bot]") || person.name.ends_with("[bot]");
  return person;
}

}  // namespace quern::inline v1::digest
