#include "quern/handlers/notify/channel.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "notification_json.hpp"
#include "quern/core/detail/crash_point.hpp"
#include "quern/core/error.hpp"
#include "quern/handlers/detail/text.hpp"

namespace quern::inline v1::notify {
namespace {

std::string scheme_of(std::string_view recipient) {
  const auto colon = recipient.find(':');
  return colon == std::string_view::npos ? std::string() : detail::lower(recipient.substr(0, colon));
}

}  // namespace

void check(const Notification& notification) {
  const auto& id = notification.id;
  // A full stop would make the text that a webhook signs ambiguous.
  const bool plain = std::ranges::all_of(id, [](char c) { return c > 0x20 && c < 0x7F && c != '.'; });
  if (id.empty() || id.size() > 256 || !plain)
    throw InvalidArgument("id", "has to be 1 to 256 printable ASCII characters without blank and full stop");
}

nlohmann::ordered_json data_of(const Notification& notification) {
  if (notification.data.empty()) return nullptr;
  auto parsed = nlohmann::ordered_json::parse(notification.data, nullptr, false);
  if (parsed.is_discarded()) return notification.data;
  return parsed;
}

std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Delivery ChannelSet::deliver(const std::string& recipient, const Notification& notification,
                             const Attempt& attempt) const {
  check(notification);
  const auto channel = by_scheme_.find(scheme_of(recipient));
  if (channel == by_scheme_.end())
    return Delivery::permanent(
        fmt::format("no channel serves this kind of recipient; there are: {}", fmt::join(schemes(), ", ")));
  detail::crash_point("notify.before");
  Delivery delivery;
  try {
    delivery = channel->second->deliver(recipient, notification, attempt);
  } catch (const InvalidArgument& error) {
    delivery = Delivery::permanent(error.what());
  } catch (const StorageError& error) {
    delivery = error.transient() ? Delivery::retry(error.what()) : Delivery::permanent(error.what());
  }
  detail::crash_point("notify.after");
  return delivery;
}

bool ChannelSet::serves(std::string_view recipient) const {
  return by_scheme_.contains(scheme_of(recipient));
}

std::vector<std::string> ChannelSet::schemes() const {
  std::vector<std::string> out;
  out.reserve(by_scheme_.size());
  for (const auto& [scheme, channel] : by_scheme_) out.push_back(scheme);
  return out;
}

}  // namespace quern::inline v1::notify
