#include "storage/postgres/params.hpp"

#include <utility>

namespace quern::inline v1::postgres {
namespace {

// The types' numbers, which never change (pg_type.dat).
constexpr unsigned bool_type = 16;
constexpr unsigned long_type = 20;
constexpr unsigned short_type = 21;
constexpr unsigned int_type = 23;
constexpr unsigned text_type = 25;
constexpr unsigned bool_array = 1000;
constexpr unsigned short_array = 1005;
constexpr unsigned int_array = 1007;
constexpr unsigned text_array = 1009;
constexpr unsigned long_array = 1016;
constexpr unsigned unknown_type = 0;

template <class T>
void put_number(std::string& bytes, T value) {
  using Bits = std::make_unsigned_t<T>;
  const auto bits = static_cast<Bits>(value);
  for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8)
    bytes.push_back(static_cast<char>(static_cast<unsigned char>(bits >> static_cast<unsigned>(shift))));
}

void put_element(std::string& bytes, std::int64_t value) {
  put_number(bytes, std::int32_t{8});
  put_number(bytes, value);
}
void put_element(std::string& bytes, std::string_view value) {
  put_number(bytes, static_cast<std::int32_t>(value.size()));
  bytes += value;
}
template <class T>
void put_element(std::string& bytes, const std::optional<T>& value) {
  if (value)
    put_element(bytes, *value);
  else
    put_number(bytes, std::int32_t{-1});
}

/// One dimension, from 1 on; what comes behind it are the elements.
std::string array_header(std::size_t size, unsigned element, bool nulls) {
  std::string bytes;
  if (size == 0) {
    put_number(bytes, std::int32_t{0});
    put_number(bytes, std::int32_t{0});
    put_number(bytes, static_cast<std::int32_t>(element));
    return bytes;
  }
  put_number(bytes, std::int32_t{1});
  put_number(bytes, static_cast<std::int32_t>(nulls ? 1 : 0));
  put_number(bytes, static_cast<std::int32_t>(element));
  put_number(bytes, static_cast<std::int32_t>(size));
  put_number(bytes, std::int32_t{1});
  return bytes;
}

template <class T>
std::string array_of(std::span<const T> values, unsigned element, bool nulls) {
  std::string bytes = array_header(values.size(), element, nulls);
  for (const T& value : values) put_element(bytes, value);
  return bytes;
}

}  // namespace

Params& Params::put(unsigned type, std::string bytes, bool binary) {
  types_.push_back(type);
  lengths_.push_back(static_cast<int>(bytes.size()));
  formats_.push_back(binary ? 1 : 0);
  bytes_.emplace_back(std::move(bytes));
  return *this;
}

Params& Params::null() {
  types_.push_back(unknown_type);
  lengths_.push_back(0);
  formats_.push_back(1);
  bytes_.emplace_back(std::nullopt);
  return *this;
}

Params& Params::add(std::int64_t value) {
  std::string bytes;
  put_number(bytes, value);
  return put(long_type, std::move(bytes));
}

Params& Params::add(int value) {
  std::string bytes;
  put_number(bytes, static_cast<std::int32_t>(value));
  return put(int_type, std::move(bytes));
}

Params& Params::add(bool value) { return put(bool_type, std::string(1, value ? '\1' : '\0')); }
Params& Params::add(std::string_view value) { return put(text_type, std::string(value)); }
Params& Params::add_text(std::string text) { return put(text_type, std::move(text)); }

Params& Params::add_longs(std::span<const std::int64_t> values) {
  return put(long_array, array_of(values, long_type, false));
}
Params& Params::add_longs(std::span<const std::optional<std::int64_t>> values) {
  return put(long_array, array_of(values, long_type, true));
}
Params& Params::add_texts(std::span<const std::string_view> values) {
  return put(text_array, array_of(values, text_type, false));
}
Params& Params::add_texts(std::span<const std::optional<std::string_view>> values) {
  return put(text_array, array_of(values, text_type, true));
}

Params& Params::add_ints(std::span<const int> values) {
  std::string bytes = array_header(values.size(), int_type, false);
  for (const int value : values) {
    put_number(bytes, std::int32_t{4});
    put_number(bytes, static_cast<std::int32_t>(value));
  }
  return put(int_array, std::move(bytes));
}

Params& Params::add_shorts(std::span<const int> values) {
  std::string bytes = array_header(values.size(), short_type, false);
  for (const int value : values) {
    put_number(bytes, std::int32_t{2});
    put_number(bytes, static_cast<std::int16_t>(value));
  }
  return put(short_array, std::move(bytes));
}

Params& Params::add_bools(const std::vector<bool>& values) {
  std::string bytes = array_header(values.size(), bool_type, false);
  for (const bool value : values) {
    put_number(bytes, std::int32_t{1});
    bytes.push_back(value ? '\1' : '\0');
  }
  return put(bool_array, std::move(bytes));
}

const char* const* Params::values() const {
  values_.clear();
  for (const auto& bytes : bytes_) values_.push_back(bytes ? bytes->c_str() : nullptr);
  return values_.data();
}

}  // namespace quern::inline v1::postgres
