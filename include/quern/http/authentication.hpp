#pragma once

#include <optional>
#include <string>

#include "quern/http/access.hpp"

namespace quern::inline v1::http {

/// Whom a credential is from, or why it counts for nothing.
struct Authentication {
  std::optional<Caller> caller{};
  /// Why there is no caller: for the log and the audit, never for the client. Tells nothing of the credential but what is public in it.
  std::string refused{};
  /// Of the key or the token's subject, where that much is known of a credential that is refused.
  std::string id{};
};

}  // namespace quern::inline v1::http
