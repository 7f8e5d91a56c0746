#pragma once

#include <string>

#include "quern/http/message.hpp"

namespace quern::inline v1::http::detail {

/// What a request shows of who it is from.
struct Credential {
  std::string value{};  ///< Empty: nothing. Overwritten when it goes.
  std::string fault{};  ///< Not empty: it can't be taken for one, since ...

  Credential() = default;
  Credential(Credential&&) noexcept = default;
  Credential& operator=(Credential&&) = delete;
  ~Credential();
};

/// Takes what stands in `Authorization: Bearer` or `X-API-Key`, but not in both. Of another scheme nothing is taken.
[[nodiscard]] Credential find_credential(const Request& request);

/// Whether the query has a parameter that is named as a credential, or looks like one.
[[nodiscard]] bool has_credential_in_query(const Request& request);

}  // namespace quern::inline v1::http::detail
