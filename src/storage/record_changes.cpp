#include "storage/record_changes.hpp"

#include <fmt/format.h>

#include <set>
#include <string_view>
#include <utility>

#include "quern/core/error.hpp"

namespace quern::inline v1::detail {

void check(std::span<const RecordChange> changes) {
  std::set<std::pair<std::string_view, std::string_view>> named;
  for (const RecordChange& change : changes)
    if (!named.emplace(change.collection, change.key).second)
      throw InvalidArgument(
          "changes", fmt::format("name the record \"{}\" of \"{}\" twice", change.key, change.collection));
}

}  // namespace quern::inline v1::detail
