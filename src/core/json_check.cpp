#include <fmt/format.h>

#include <cassert>
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/utf8.hpp"
#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"

namespace quern::inline v1 {
namespace {

/// Walks over the text for the parser and shows how far the parser has come.
class Cursor {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Cursor(const char* at, const char** shown) noexcept : at_(at), shown_(shown) {}
  reference operator*() const noexcept { return *at_; }
  Cursor& operator++() noexcept {
    *shown_ = ++at_;
    return *this;
  }
  Cursor operator++(int) noexcept {
    Cursor before = *this;
    ++*this;
    return before;
  }
  bool operator==(const Cursor& other) const noexcept { return at_ == other.at_; }

 private:
  const char* at_;
  const char** shown_;
};

/// Sees each token of the text; stops the parser at the first that is not allowed. Never keeps or quotes
/// contents, but for the names of open objects.
class Checker : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Checker(int max_depth) : max_depth_(max_depth) {}

  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(number_integer_t /*value*/) override { return true; }
  bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
  bool number_float(number_float_t /*value*/, const string_t& text) override {
    // The parser makes a double of an integer that is too large for 64 bits, which loses digits silently.
    if (text.find_first_of(".eE") != string_t::npos) return true;
    return refuse("has an integer that does not fit into 64 bits; larger ones can be written as strings");
  }
  bool string(string_t& value) override { return check_string(value); }
  bool binary(binary_t& /*value*/) override { return true; }  // JSON text has none

  bool start_object(std::size_t /*elements*/) override {
    names_.emplace_back();
    return check_depth();
  }
  bool key(string_t& name) override {
    if (!check_string(name)) return false;
    if (names_.back().insert(std::move(name)).second) return true;
    return refuse("has an object with the same name twice");
  }
  bool end_object() override {
    names_.pop_back();
    return true;
  }
  bool start_array(std::size_t /*elements*/) override {
    names_.emplace_back();
    return check_depth();
  }
  bool end_array() override {
    names_.pop_back();
    return true;
  }

  bool parse_error(std::size_t /*at*/, const std::string& /*token*/,
                   const nlohmann::json::exception& e) override {
    constexpr int number_overflow = 406;
    return refuse(e.id == number_overflow ? "has a number that is too large for a double" : "is not JSON");
  }

 private:
  bool refuse(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }
  bool check_string(const string_t& text) {
    return text.find('\0') == string_t::npos ||
           refuse("has the NUL character in a string, which is not allowed");
  }
  bool check_depth() {
    if (names_.size() <= static_cast<std::size_t>(max_depth_)) return true;
    return refuse(fmt::format("is nested deeper than the {} levels that are allowed", max_depth_));
  }

  int max_depth_;
  std::string problem_;
  std::vector<std::set<std::string>> names_;  // of each open object; an empty set for an array
};

[[noreturn]] void refuse(std::string_view field, std::string_view problem, std::size_t byte) {
  throw InvalidArgument(std::string(field), fmt::format("{} (at byte {})", problem, byte));
}

}  // namespace

void check_json(std::string_view text, std::string_view field, const JobLimits& limits) {
  assert(limits.json_depth >= 0);
  if (text.size() > limits.payload_bytes) {
    throw InvalidArgument(std::string(field), fmt::format("has {} bytes, at most {} are allowed", text.size(),
                                                          limits.payload_bytes));
  }
  if (const auto at = detail::find_malformed(text); at != std::string_view::npos) {
    refuse(field, "is not UTF-8", at);
  }
  // The parser takes a NUL for the end of the text, and skips a byte order mark.
  if (const auto at = text.find('\0'); at != std::string_view::npos) refuse(field, "contains a NUL byte", at);
  if (text.starts_with("\xEF\xBB\xBF")) refuse(field, "begins with a byte order mark", 0);

  const char* shown = text.data();
  Checker checker(limits.json_depth);
  const Cursor begin(text.data(), &shown);
  const Cursor end(text.data() + text.size(), &shown);
  if (!nlohmann::json::sax_parse(begin, end, &checker)) {
    // The parser has read up to the fault, and at most one character more.
    refuse(field, checker.problem(), static_cast<std::size_t>(shown - text.data()));
  }
}

}  // namespace quern::inline v1
