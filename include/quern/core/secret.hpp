#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "quern/core/fields.hpp"

namespace quern::inline v1 {

/// A text that must not be seen: a password, a token. As a member of a job's struct it travels in the payload
/// as any string, since the handler needs it (the storage holds it as it is), and while the job runs its value
/// is replaced by "***" in whatever the run logs, reports or fails with; docs/logging.md says what that covers.
///
///     struct Sync {
///       static constexpr std::string_view kind = "sync";
///       std::string account;
///       quern::Secret password;
///     };
///     QUERN_FIELDS(Sync, account, password)
///
/// It converts to no string and prints as "***"; only `reveal` gives the value. A plain value.
class Secret {
 public:
  /// What stands in its place.
  static constexpr std::string_view hidden = "***";

  Secret() = default;
  // Implicit, so that a job is written as ever: Sync{"ada", "correct horse"}.
  Secret(std::string value) noexcept : value_(std::move(value)) {}
  Secret(const char* value) : value_(value) {}

  /// The value itself; valid until this is changed or destroyed.
  [[nodiscard]] const std::string& reveal() const noexcept { return value_; }

  friend bool operator==(const Secret& a, const Secret& b) = default;

 private:
  std::string value_;
};

/// "***", however long it is.
std::ostream& operator<<(std::ostream& out, const Secret& secret);
[[nodiscard]] constexpr std::string_view to_string(const Secret& /*secret*/) noexcept {
  return Secret::hidden;
}
/// How fmt 10 and later print it; an older fmt refuses to compile it.
[[nodiscard]] constexpr std::string_view format_as(const Secret& /*secret*/) noexcept {
  return Secret::hidden;
}

// For structs that nlohmann::json encodes. Their secrets are not found by themselves: `JobContext::secret`.
template <class Json>
  requires requires { typename Json::exception; }
void to_json(Json& json, const Secret& secret) {
  json = secret.reveal();
}
template <class Json>
  requires requires { typename Json::exception; }
void from_json(const Json& json, Secret& secret) {
  secret = json.template get<std::string>();
}

namespace detail {

// One member, which is the string: it stands at the same address.
static_assert(std::is_standard_layout_v<Secret> && sizeof(Secret) == sizeof(std::string));
template <>
struct CodecOf<Secret> {
  static constexpr PayloadCodec codec{.shape = Shape::string, .secret = true};
};

class Redactor;

/// Whether a value of this type can contain a Secret.
[[nodiscard]] bool has_secrets(const PayloadCodec& codec);
/// Makes all of them known that this value contains.
void collect_secrets(const PayloadCodec& codec, void* value, Redactor& redactor);

}  // namespace detail
}  // namespace quern::inline v1
