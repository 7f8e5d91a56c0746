#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>

#include "quern/core/error.hpp"

namespace quern::inline v1 {

namespace detail {
// Compiled once: in each file that enqueues they would be most of what it costs to compile.
[[nodiscard]] std::string dump_json(const nlohmann::json& json);
template <class Json>
[[nodiscard]] Json parse_json(const std::string& text);
template <>
[[nodiscard]] nlohmann::json parse_json<nlohmann::json>(const std::string& text);
}  // namespace detail

/// A job's argument or result: JSON text, kept as bytes from end to end and parsed only by who needs it.
/// A plain value. The text is checked where it enters quern (see JobLimits), not here.
class Payload {
 public:
  /// JSON null.
  Payload() : text_("null") {}

  /// Takes JSON text as it is.
  [[nodiscard]] static Payload json(std::string text);

  /// Encodes a value that nlohmann::json can encode (a number, a container, a struct with
  /// NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE). Include <nlohmann/json.hpp> where you call it.
  /// Throws InvalidArgument (field "payload") when a string in it is not UTF-8.
  template <class T, class Json = nlohmann::json>
  [[nodiscard]] static Payload of(const T& value) {
    try {
      return Payload(Raw{}, detail::dump_json(Json(value)));
    } catch (const typename Json::exception& e) {
      throw InvalidArgument("payload", std::string("cannot be written as JSON: ") + e.what());
    }
  }

  /// Decodes into T, which nlohmann::json can decode. Throws InvalidArgument (field "payload") when the
  /// text is not such a value; the message names the place, never the contents.
  template <class T, class Json = nlohmann::json>
  [[nodiscard]] T as() const {
    try {
      return detail::parse_json<Json>(text_).template get<T>();
    } catch (const typename Json::exception& e) {
      throw InvalidArgument("payload", std::string("cannot be read: ") + e.what());
    }
  }

  /// The JSON text.
  [[nodiscard]] const std::string& text() const& noexcept { return text_; }
  [[nodiscard]] std::string text() && noexcept { return std::move(text_); }

  friend bool operator==(const Payload&, const Payload&) = default;

 private:
  // The tag keeps `{{"a", 1}}` from being taken for a Payload where JSON was meant.
  struct Raw {
    explicit Raw() = default;
  };
  Payload(Raw, std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace quern::inline v1
