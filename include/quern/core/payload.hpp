#pragma once

#include <atomic>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "quern/core/error.hpp"
#include "quern/core/fields.hpp"

namespace quern::inline v1 {

namespace detail {
// Compiled once: in each file that enqueues they would be most of what it costs to compile.
[[nodiscard]] std::string dump_json(const nlohmann::json& json);
template <class Json>
[[nodiscard]] Json parse_json(const std::string& text);
template <>
[[nodiscard]] nlohmann::json parse_json<nlohmann::json>(const std::string& text);
[[noreturn]] void refuse_payload(const char* problem, const char* reason);
}  // namespace detail

/// A job's argument or result: JSON text, kept as bytes from end to end and parsed only by who needs it. Made
/// of a struct with QUERN_FIELDS, it is a packed form of the struct until somebody asks for the text.
///
/// A plain value: concurrent calls of const members are safe. The text is checked where it enters quern (see
/// JobLimits), not here.
class Payload {
 public:
  /// JSON null.
  Payload() : bytes_("null") {}
  Payload(const Payload& other) : bytes_(other.bytes_), codec_(other.codec_) {}
  Payload(Payload&& other) noexcept
      : bytes_(std::move(other.bytes_)),
        codec_(std::exchange(other.codec_, nullptr)),
        text_(other.release_text()) {}
  Payload& operator=(const Payload& other);
  Payload& operator=(Payload&& other) noexcept;
  ~Payload() {
    if (const std::string* const text = text_.load(std::memory_order_relaxed)) drop(text);
  }

  /// Takes JSON text as it is.
  [[nodiscard]] static Payload json(std::string text);

  /// Encodes a struct with QUERN_FIELDS, which costs one allocation and no JSON; or a value that
  /// nlohmann::json can encode (a number, a container, a struct with NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE):
  /// include <nlohmann/json.hpp> where you call it for one. Throws InvalidArgument for a string that is not
  /// UTF-8: with QUERN_FIELDS the field is the member's path ("payload.recipients[3]"), see there; else
  /// "payload".
  template <class T, class Json = nlohmann::json>
  [[nodiscard]] static Payload of(const T& value) {
    if constexpr (HasFields<T>) {
      return pack(detail::CodecOf<T>::codec, &value);
    } else {
      try {
        return Payload(Raw{}, detail::dump_json(Json(value)));
      } catch (const typename Json::exception& e) {
        detail::refuse_payload("cannot be written as JSON: ", e.what());
      }
    }
  }

  /// Decodes into T, which has QUERN_FIELDS or which nlohmann::json can decode. Throws InvalidArgument (field
  /// "payload") when it is not such a value; the message names the place, never the contents.
  template <class T, class Json = nlohmann::json>
  [[nodiscard]] T as() const {
    if constexpr (HasFields<T>) {
      T value{};
      read(detail::CodecOf<T>::codec, &value);
      return value;
    } else {
      try {
        return detail::parse_json<Json>(text()).template get<T>();
      } catch (const typename Json::exception& e) {
        detail::refuse_payload("cannot be read: ", e.what());
      }
    }
  }

  /// The JSON text; valid until the payload is changed or destroyed. Made of a packed form at the first call,
  /// and kept.
  [[nodiscard]] const std::string& text() const& { return codec_ == nullptr ? bytes_ : made_text(); }
  [[nodiscard]] std::string text() &&;

  /// Compares the texts.
  friend bool operator==(const Payload& a, const Payload& b);

  // For storages within the process, which can keep the packed form.
  /// The packed form, or the JSON text where there is no codec.
  [[nodiscard]] std::string_view bytes() const noexcept { return bytes_; }
  /// What knows the packed form; null: there is only the text. It lives as long as the code that made it.
  [[nodiscard]] const detail::PayloadCodec* codec() const noexcept { return codec_; }
  /// The payload of which these are the bytes and the codec.
  [[nodiscard]] static Payload from_bytes(std::string_view bytes, const detail::PayloadCodec* codec);

 private:
  // The tag keeps `{{"a", 1}}` from being taken for a Payload where JSON was meant.
  struct Raw {
    explicit Raw() = default;
  };
  Payload(Raw, std::string bytes, const detail::PayloadCodec* codec = nullptr)
      : bytes_(std::move(bytes)), codec_(codec) {}

  [[nodiscard]] static Payload pack(const detail::PayloadCodec& codec, const void* value);
  void read(const detail::PayloadCodec& codec, void* value) const;
  [[nodiscard]] const std::string& made_text() const;
  static void drop(const std::string* text) noexcept;
  /// For who has the payload alone: then no locked exchange is needed.
  [[nodiscard]] const std::string* release_text() noexcept {
    const std::string* const text = text_.load(std::memory_order_relaxed);
    text_.store(nullptr, std::memory_order_relaxed);
    return text;
  }

  std::string bytes_;
  const detail::PayloadCodec* codec_ = nullptr;
  mutable std::atomic<const std::string*> text_{
      nullptr};  ///< Of a packed form, once it was asked for. Owned.
};

}  // namespace quern::inline v1
