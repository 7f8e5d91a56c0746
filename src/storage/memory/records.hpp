#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/storage/requests.hpp"

namespace quern::inline v1::memory {

/// The records, by collection and key. Keys are in the order of their bytes, as std::string compares. Not
/// thread-safe.
class Records {
 public:
  void put(const Record& record) {
    collections_[record.collection].insert_or_assign(record.key, record.value);
  }

  [[nodiscard]] std::optional<Payload> get(std::string_view collection, std::string_view key) const {
    const auto in = collections_.find(collection);
    if (in == collections_.end()) return std::nullopt;
    const auto it = in->second.find(key);
    return it == in->second.end() ? std::nullopt : std::optional<Payload>(it->second);
  }

  [[nodiscard]] std::vector<Record> list(std::string_view collection, std::string_view after,
                                         std::size_t limit) const {
    std::vector<Record> records;
    const auto in = collections_.find(collection);
    if (in == collections_.end()) return records;
    for (auto it = in->second.upper_bound(after); it != in->second.end() && records.size() < limit; ++it) {
      records.push_back({.collection = in->first, .key = it->first, .value = it->second});
    }
    return records;
  }

  bool erase(std::string_view collection, std::string_view key) {
    const auto in = collections_.find(collection);
    if (in == collections_.end()) return false;
    const auto it = in->second.find(key);
    if (it == in->second.end()) return false;
    in->second.erase(it);
    if (in->second.empty()) collections_.erase(in);
    return true;
  }

 private:
  using Collection = std::map<std::string, Payload, std::less<>>;
  std::map<std::string, Collection, std::less<>> collections_;
};

}  // namespace quern::inline v1::memory
