#pragma once

#include <nlohmann/json.hpp>

#include "quern/handlers/notify/notification.hpp"

namespace quern::inline v1::notify {

/// A notification's data as JSON: what the text parses to; the text itself where it is not JSON; null for
/// none.
[[nodiscard]] nlohmann::ordered_json data_of(const Notification& notification);

/// Compact JSON. What is not UTF-8 is replaced.
[[nodiscard]] std::string dump(const nlohmann::ordered_json& json);

}  // namespace quern::inline v1::notify
