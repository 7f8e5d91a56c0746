#include "schedule/cron_words.hpp"

#include <fmt/format.h>

#include <bit>

namespace quern::inline v1::detail {

std::vector<int> elements(std::uint64_t set) {
  std::vector<int> values;
  for (; set != 0; set &= set - 1) values.push_back(std::countr_zero(set));
  return values;
}

std::string join(const std::vector<std::string>& words, std::string_view last) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? last : std::string_view(", ");
    text += words[i];
  }
  return text;
}

std::string ordinal(int number) {
  const int tens = number / 10 % 10;
  std::string_view ending = "th";
  if (tens != 1 && number % 10 == 1) ending = "st";
  if (tens != 1 && number % 10 == 2) ending = "nd";
  if (tens != 1 && number % 10 == 3) ending = "rd";
  return fmt::format("{}{}", number, ending);
}

Shape shape_of(const std::vector<int>& values, int size) {
  Shape shape;
  const auto count = static_cast<int>(values.size());
  shape.full = count == size;
  shape.run = count >= 3 && values.back() - values.front() == count - 1;
  if (count < 2 || values.front() != 0 || shape.full) return shape;
  const int step = values[1];
  for (std::size_t i = 1; i < values.size(); ++i)
    if (values[i] - values[i - 1] != step) return shape;
  if (values.back() + step < size) return shape;
  if (count >= 3 || 2 * step == size) shape.step = step;
  return shape;
}

}  // namespace quern::inline v1::detail
