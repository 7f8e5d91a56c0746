#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace quern::inline v1::detail {

/// Text from outside made fit to show on one line: valid UTF-8 (what is not becomes U+FFFD), control
/// characters and line breaks as blanks, invisible direction marks dropped, blanks at both ends cut off, at
/// most `max_bytes` long (cut between characters, with an ellipsis).
[[nodiscard]] std::string clean_line(std::string_view text, std::size_t max_bytes = 512);

/// The same for text of several lines: line feeds and tabs are kept.
[[nodiscard]] std::string clean_text(std::string_view text, std::size_t max_bytes);

/// Escaped for HTML text and for quoted attribute values.
[[nodiscard]] std::string escape_html(std::string_view text);

/// Escaped for the middle of a line of Markdown (CommonMark and GitHub's): shows as the text itself, with no
/// markup, HTML, link or mention in it. Takes what `clean_line` gives.
[[nodiscard]] std::string escape_markdown(std::string_view text);

/// ASCII letters in lower case.
[[nodiscard]] std::string lower(std::string_view text);

/// Whether two texts are equal but for the case of ASCII letters.
[[nodiscard]] bool same_text(std::string_view a, std::string_view b) noexcept;

}  // namespace quern::inline v1::detail
