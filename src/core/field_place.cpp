#include "core/field_place.hpp"

namespace quern::inline v1::detail {

std::string FieldPlace::path() const {
  if (outer == nullptr) return {};
  std::string path = outer->path();
  if (name.empty()) return path + '[' + std::to_string(index) + ']';
  if (!path.empty()) path += '.';
  return path += name;
}

}  // namespace quern::inline v1::detail
