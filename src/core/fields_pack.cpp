#include <fmt/format.h>

#include <cassert>
#include <cmath>

#include "core/byte_sink.hpp"
#include "core/field_place.hpp"
#include "core/json_text.hpp"
#include "core/packed.hpp"
#include "core/utf8.hpp"
#include "quern/core/detail/payload_codec.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::detail {
namespace {

std::string payload_path(const FieldPlace& place) {
  const std::string path = place.path();
  if (path.empty()) return "payload";
  return (path.front() == '[' ? "payload" : "payload.") + path;
}

[[noreturn]] void refuse(const FieldPlace& place, const std::string& problem) {
  throw InvalidArgument(payload_path(place), problem);
}

/// The bytes that JSON takes for a string, with its quotes. Refuses what JSON or a storage can't hold.
std::size_t check_string(std::string_view text, const FieldPlace& place) {
  const char* const end = text.data() + text.size();
  const char* at = skip_plain(text.data(), end);
  if (at == end) return text.size() + 2;
  if (const auto fault = find_malformed(text); fault != std::string_view::npos)
    refuse(place, fmt::format("is not UTF-8: the fault is at byte {}", fault));
  if (const auto nul = text.find('\0'); nul != std::string_view::npos)
    refuse(place, fmt::format("contains the NUL character at byte {}", nul));
  auto bytes = static_cast<std::size_t>(at - text.data()) + 2;
  for (; at != end; ++at) bytes += escaped_bytes(*at);
  return bytes;
}

/// Writes a value's bytes: numbers as they lie in memory; a string, list or map with its length before it.
class Packer {
 public:
  explicit Packer(ByteSink& out) : out_(out) { out_.put(std::string_view(header_, PackedHeader::bytes)); }

  void value(const PayloadCodec& codec, void* object, const FieldPlace& place);

  void finish() {
    const PackedHeader header{.max_json_bytes = json_bytes_, .depth = static_cast<std::uint8_t>(deepest_)};
    header.write(out_.begin());
  }

 private:
  // Copied as bytes: an enum, a duration or a `long long` may lie there, which no pointer to T may look at.
  template <class T>
  void number(const void* object, std::size_t json_bytes) {
    out_.put(std::string_view(static_cast<const char*>(object), sizeof(T)));
    json_bytes_ += json_bytes;
  }
  template <class T>
  void floating(const void* object, const FieldPlace& place) {
    if (!std::isfinite(*static_cast<const T*>(object)))
      refuse(place, "is not a finite number, which JSON can't hold");
    number<T>(object, max_json_double);
  }
  void string(std::string_view text, const FieldPlace& place) {
    json_bytes_ += check_string(text, place);
    put_count(out_, text.size());
    out_.put(text);
  }
  void optional(const PayloadCodec& codec, void* object, const FieldPlace& place) {
    void* const inside = codec.optional->get(object);
    out_.put(inside != nullptr ? '\1' : '\0');
    if (inside != nullptr)
      value(*codec.element, inside, place);
    else
      json_bytes_ += 4;
  }
  void elements(const PayloadCodec& codec, void* first, std::size_t count, const FieldPlace& place) {
    auto* at = static_cast<char*>(first);
    for (std::size_t i = 0; i < count; ++i, at += codec.stride)
      value(*codec.element, at, {.outer = &place, .index = i});
  }
  void bits(const PayloadCodec& codec, const void* object) {
    const std::size_t count = codec.bits->size(object);
    put_count(out_, count);
    for (std::size_t i = 0; i < count; ++i) out_.put(codec.bits->get(object, i) ? '\1' : '\0');
    json_bytes_ += count * 6;
  }
  void map(const PayloadCodec& codec, void* object, const FieldPlace& place);
  void fields(const PayloadCodec& codec, void* object, const FieldPlace& place);

  /// Counts the brackets, and a comma for each element.
  void enter(std::size_t count) {
    if (++depth_ > max_fields_depth)
      throw InvalidArgument(
          "payload", fmt::format("is nested deeper than the {} levels that are allowed", max_fields_depth));
    if (depth_ > deepest_) deepest_ = depth_;
    json_bytes_ += 2 + count;
  }
  void leave() noexcept { --depth_; }

  static constexpr char header_[PackedHeader::bytes] = {};
  ByteSink& out_;
  std::uint64_t json_bytes_ = 0;
  int depth_ = 0;
  int deepest_ = 0;
};

void Packer::map(const PayloadCodec& codec, void* object, const FieldPlace& place) {
  struct State {
    Packer& packer;
    const PayloadCodec& element;
    const FieldPlace& place;
    std::size_t index = 0;
  } state{*this, *codec.element, place};
  const std::size_t count = codec.map->size(object);
  put_count(out_, count);
  codec.map->each(
      object,
      [](void* raw, const std::string& key, void* element) {
        auto& s = *static_cast<State*>(raw);
        const FieldPlace here{.outer = &s.place, .index = s.index++};
        s.packer.string(key, here);
        s.packer.value(s.element, element, here);
      },
      &state);
  json_bytes_ += count;  // colons
}

void Packer::fields(const PayloadCodec& codec, void* object, const FieldPlace& place) {
  if (codec.count == 0) out_.put('\0');  // no value is without a byte, so that a length can be checked
  for (std::size_t i = 0; i < codec.count; ++i) {
    const Field& field = codec.fields[i];
    json_bytes_ += field.quoted.size();
    value(*field.codec, field.member(object), {.outer = &place, .name = field.name()});
  }
}

void Packer::value(const PayloadCodec& codec, void* object, const FieldPlace& place) {
  switch (codec.shape) {
    case Shape::boolean:
      return number<bool>(object, 5);
    case Shape::int8:
    case Shape::uint8:
      return number<std::uint8_t>(object, 4);
    case Shape::int16:
    case Shape::uint16:
      return number<std::uint16_t>(object, 6);
    case Shape::int32:
    case Shape::uint32:
      return number<std::uint32_t>(object, 11);
    case Shape::int64:
    case Shape::uint64:
      return number<std::uint64_t>(object, 20);
    case Shape::float32:
      return floating<float>(object, place);
    case Shape::float64:
      return floating<double>(object, place);
    case Shape::string:
      return string(*static_cast<const std::string*>(object), place);
    case Shape::optional:
      return optional(codec, object, place);
    case Shape::list: {
      const std::size_t count = codec.list->size(object);
      enter(count);
      put_count(out_, count);
      elements(codec, codec.list->data(object), count, place);
      return leave();
    }
    case Shape::bits:
      enter(0);
      bits(codec, object);
      return leave();
    case Shape::array:
      enter(codec.count);
      elements(codec, object, codec.count, place);
      return leave();
    case Shape::map:
      enter(codec.map->size(object));
      map(codec, object, place);
      return leave();
    case Shape::object:
      enter(codec.count);
      fields(codec, object, place);
      return leave();
  }
}

}  // namespace

void put_count(ByteSink& out, std::size_t count) {
  if (count < long_count) {
    out.put(static_cast<char>(count));
  } else {
    out.put(static_cast<char>(long_count));
    out.put_raw(static_cast<std::uint64_t>(count));
  }
}

std::string pack(const PayloadCodec& codec, const void* value) {
  ByteSink out;
  Packer packer(out);
  // Only looked at; one set of accessors serves packing and reading.
  packer.value(codec, const_cast<void*>(value), {});  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  packer.finish();
  return out.take();
}

}  // namespace quern::inline v1::detail
