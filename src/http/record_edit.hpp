#pragma once

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "quern/core/error.hpp"
#include "quern/core/fields.hpp"
#include "quern/core/payload.hpp"
#include "quern/storage/any_storage.hpp"

namespace quern::inline v1::http::detail {

/// A record's value. One that can't be read is a StorageError: whoever asked has done nothing wrong, and nothing in it may be shown.
template <class T>
[[nodiscard]] T read_record(const Payload& value, std::string_view collection, std::string_view key) {
  try {
    return value.as<T>();
  } catch (const InvalidArgument& e) {
    throw StorageError(
        fmt::format("the record \"{}\" of \"{}\" can't be read: {}", key, collection, e.what()), false);
  }
}

/// Reads, lets `edit` change what it finds, and writes, until nobody came between. `edit` is given what there is (none: nothing), and
/// leaves what there is to be; it may be called several times. Returning false ends it with nothing changed, which is then the answer.
template <class T, class Edit>
bool edit_record(StoragePort& storage, std::string_view collection, std::string_view key, const Edit& edit) {
  constexpr int most_tries = 1000;
  for (int tries = 0; tries < most_tries; ++tries) {
    std::array<RecordChange, 1> change;
    change[0] = {.collection = std::string(collection), .key = std::string(key)};
    change[0].seen = storage.get_record(collection, key);
    std::optional<T> value;
    if (change[0].seen) value = read_record<T>(*change[0].seen, collection, key);
    if (!edit(value)) return false;
    if (value) change[0].value = Payload::of(*value);
    if (storage.insert_if({}, change).done) return true;
  }
  throw StorageError(
      fmt::format("the record \"{}\" of \"{}\" could not be changed: others did at each of {} tries", key,
                  collection, most_tries),
      true);
}

/// All records of a collection in the order of their keys. Those that are added meanwhile may be missed.
template <class Read>
void each_record(StoragePort& storage, std::string_view collection, const Read& read) {
  constexpr std::size_t page = 500;
  std::string after;
  while (true) {
    const auto records = storage.list_records(collection, after, page);
    for (const Record& record : records) read(record);
    if (records.size() < page) return;
    after = records.back().key;
  }
}

}  // namespace quern::inline v1::http::detail
