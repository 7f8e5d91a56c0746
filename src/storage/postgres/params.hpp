#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quern::inline v1::postgres {

/// The parameters of a statement, in PostgreSQL's binary form, so that nothing is escaped or parsed. Arrays
/// are one parameter each, whatever their length.
class Params {
 public:
  Params& add(std::int64_t value);
  Params& add(std::uint64_t value) { return add(static_cast<std::int64_t>(value)); }
  Params& add(int value);
  Params& add(bool value);
  Params& add(std::string_view value);
  Params& add(const std::string& value) { return add(std::string_view(value)); }
  Params& add(const char* value) { return add(std::string_view(value)); }
  /// NULL where there is none.
  template <class T>
  Params& add(const std::optional<T>& value) {
    return value ? add(*value) : null();
  }
  /// NULL, of the type that the statement says.
  Params& null();
  /// Text that the statement casts: JSON, a snapshot.
  Params& add_text(std::string text);

  Params& add_longs(std::span<const std::int64_t> values);
  Params& add_longs(std::span<const std::optional<std::int64_t>> values);
  Params& add_ints(std::span<const int> values);
  Params& add_shorts(std::span<const int> values);
  Params& add_texts(std::span<const std::string_view> values);
  Params& add_texts(std::span<const std::optional<std::string_view>> values);
  Params& add_bools(const std::vector<bool>& values);

  [[nodiscard]] int size() const noexcept { return static_cast<int>(types_.size()); }
  [[nodiscard]] const unsigned* types() const noexcept { return types_.data(); }
  /// Valid until something is added.
  [[nodiscard]] const char* const* values() const;
  [[nodiscard]] const int* lengths() const noexcept { return lengths_.data(); }
  [[nodiscard]] const int* formats() const noexcept { return formats_.data(); }

 private:
  Params& put(unsigned type, std::string bytes, bool binary = true);

  std::vector<unsigned> types_;
  std::vector<std::optional<std::string>> bytes_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
  mutable std::vector<const char*> values_;
};

/// The parameter where the column has any value, NULL where it is the same for all rows.
template <class T>
[[nodiscard]] bool any(const std::vector<std::optional<T>>& values) {
  for (const auto& value : values) {
    if (value) return true;
  }
  return false;
}

}  // namespace quern::inline v1::postgres
