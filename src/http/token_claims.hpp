#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/http/token.hpp"

namespace quern::inline v1::http::detail {

/// The object that a part of a token is: strict JSON, no name twice at any depth. None: it is none.
[[nodiscard]] std::optional<nlohmann::json> read_part(std::string_view part);

/// What is wrong with `iss`, `aud`, `exp`, `nbf` or `iat`; empty: nothing.
[[nodiscard]] std::string fault_of_claims(const nlohmann::json& claims, const TokenOptions& options,
                                          TimePoint now);

/// A claim by its name or JSON pointer; null: it is not there.
[[nodiscard]] const nlohmann::json* claim(const nlohmann::json& claims, const std::string& name);
/// A text of 1 to 256 bytes; empty: it is none.
[[nodiscard]] std::string text_claim(const nlohmann::json& claims, const std::string& name);
/// The texts of a list. None: it is no list of texts.
[[nodiscard]] std::optional<std::vector<std::string>> list_claim(const nlohmann::json* value);
/// Roles: such a list, or one text with blanks between several.
[[nodiscard]] std::vector<std::string> roles_in(const nlohmann::json* value);
/// Tenants or queues: none for "*", nothing for what is no list.
[[nodiscard]] std::optional<std::vector<std::string>> reach_in(const nlohmann::json* value);

}  // namespace quern::inline v1::http::detail
