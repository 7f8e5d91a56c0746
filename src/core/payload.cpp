#include "quern/core/payload.hpp"

#include <nlohmann/json.hpp>

namespace quern::inline v1 {

std::string detail::dump_json(const nlohmann::json& json) { return json.dump(); }
template <>
nlohmann::json detail::parse_json<nlohmann::json>(const std::string& text) {
  return nlohmann::json::parse(text);
}

// Not in the header: with the move inlined, g++ 12 warns falsely (-Warray-bounds) of long string constants.
Payload Payload::json(std::string text) { return Payload(Raw{}, std::move(text)); }

}  // namespace quern::inline v1
