#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace quern::inline v1::detail {

/// Where in a value the work stands: a chain on the stack that costs nothing until an error names it.
struct FieldPlace {
  const FieldPlace* outer = nullptr;
  std::string_view name{};  ///< Of a field; empty: an element, or the whole value.
  std::size_t index = 0;

  /// "recipients[3].address"; empty for the whole value.
  [[nodiscard]] std::string path() const;
};

}  // namespace quern::inline v1::detail
