#include <cmath>
#include <cstring>
#include <limits>

#include "core/json_reader.hpp"
#include "quern/core/detail/payload_codec.hpp"

namespace quern::inline v1::detail {
namespace {

/// Puts what JsonReader reads into a value of which only the table is known.
class FieldReader {
 public:
  explicit FieldReader(std::string_view text) : json_(text) {}

  void value(const PayloadCodec& codec, void* object, const FieldPlace& place);
  void end() { json_.end(); }

 private:
  // Copied as bytes: an enum, a duration or a `long long` may lie there, which no pointer to T may look at.
  static void put_boolean(void* object, bool value) { std::memcpy(object, &value, sizeof(value)); }
  template <class T>
  void integer(void* object, const FieldPlace& place) {
    const JsonReader::Integer read = json_.integer(place);
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    const std::uint64_t least = std::is_signed_v<T> ? most + 1 : 0;
    if (read.amount > (read.negative ? least : most)) json_.refuse(place, "is out of range");
    const std::uint64_t bits = read.negative ? 0 - read.amount : read.amount;
    const auto exact = static_cast<T>(bits);
    std::memcpy(object, &exact, sizeof(T));
  }
  void float32(void* object, const FieldPlace& place) {
    const double read = json_.number(place);
    if (std::fabs(read) > static_cast<double>(std::numeric_limits<float>::max()))
      json_.refuse(place, "is out of range");
    *static_cast<float*>(object) = static_cast<float>(read);
  }
  void list(const PayloadCodec& codec, void* object, const FieldPlace& place);
  void array(const PayloadCodec& codec, void* object, const FieldPlace& place);
  void bits(const PayloadCodec& codec, void* object, const FieldPlace& place);
  void map(const PayloadCodec& codec, void* object, const FieldPlace& place);
  void fields(const PayloadCodec& codec, void* object, const FieldPlace& place);

  JsonReader json_;
};

void FieldReader::list(const PayloadCodec& codec, void* object, const FieldPlace& place) {
  json_.begin_list(place);
  codec.list->resize(object, 0);
  for (std::size_t i = 0; json_.more_in_list(i == 0); ++i)
    value(*codec.element, codec.list->append(object), {.outer = &place, .index = i});
}

void FieldReader::array(const PayloadCodec& codec, void* object, const FieldPlace& place) {
  json_.begin_list(place);
  auto* at = static_cast<char*>(object);
  std::size_t count = 0;
  for (; json_.more_in_list(count == 0); ++count, at += codec.stride) {
    if (count == codec.count) json_.refuse(place, "has too many elements");
    value(*codec.element, at, {.outer = &place, .index = count});
  }
  if (count < codec.count) json_.refuse(place, "has too few elements");
}

void FieldReader::bits(const PayloadCodec& codec, void* object, const FieldPlace& place) {
  json_.begin_list(place);
  codec.bits->clear(object);
  for (std::size_t i = 0; json_.more_in_list(i == 0); ++i)
    codec.bits->append(object, json_.boolean({.outer = &place, .index = i}));
}

void FieldReader::map(const PayloadCodec& codec, void* object, const FieldPlace& place) {
  json_.begin_object(place);
  codec.map->clear(object);
  for (std::size_t i = 0; json_.more_in_object(i == 0); ++i) {
    const FieldPlace here{.outer = &place, .index = i};
    void* const element = codec.map->add(object, std::string(json_.name()));
    if (element == nullptr) json_.refuse(here, "has a name that stands there twice");
    value(*codec.element, element, here);
  }
}

void FieldReader::fields(const PayloadCodec& codec, void* object, const FieldPlace& place) {
  json_.begin_object(place);
  std::uint32_t seen = 0;
  std::size_t expected = 0;  // mostly the names come in the order in which we write them
  for (bool first = true; json_.more_in_object(first); first = false) {
    std::size_t index = expected;
    if (index == codec.count || !json_.name_is(codec.fields[index].quoted)) {
      const std::string_view name = json_.name();
      for (index = 0; index < codec.count && codec.fields[index].name() != name;) ++index;
      if (index == codec.count) {
        json_.skip();
        continue;
      }
    }
    const Field& field = codec.fields[index];
    const FieldPlace here{.outer = &place, .name = field.name()};
    const std::uint32_t bit = std::uint32_t{1} << index;
    if ((seen & bit) != 0) json_.refuse(here, "is there twice");
    seen |= bit;
    expected = index + 1;
    value(*field.codec, field.member(object), here);
  }
}

void FieldReader::value(const PayloadCodec& codec, void* object, const FieldPlace& place) {
  switch (codec.shape) {
    case Shape::boolean:
      return put_boolean(object, json_.boolean(place));
    case Shape::int8:
      return integer<std::int8_t>(object, place);
    case Shape::int16:
      return integer<std::int16_t>(object, place);
    case Shape::int32:
      return integer<std::int32_t>(object, place);
    case Shape::int64:
      return integer<std::int64_t>(object, place);
    case Shape::uint8:
      return integer<std::uint8_t>(object, place);
    case Shape::uint16:
      return integer<std::uint16_t>(object, place);
    case Shape::uint32:
      return integer<std::uint32_t>(object, place);
    case Shape::uint64:
      return integer<std::uint64_t>(object, place);
    case Shape::float32:
      return float32(object, place);
    case Shape::float64:
      *static_cast<double*>(object) = json_.number(place);
      return;
    case Shape::string:
      return json_.string(*static_cast<std::string*>(object), place);
    case Shape::optional:
      if (json_.null())
        codec.optional->reset(object);
      else
        value(*codec.element, codec.optional->emplace(object), place);
      return;
    case Shape::list:
      return list(codec, object, place);
    case Shape::bits:
      return bits(codec, object, place);
    case Shape::array:
      return array(codec, object, place);
    case Shape::map:
      return map(codec, object, place);
    case Shape::object:
      return fields(codec, object, place);
  }
}

}  // namespace

void read_json(const PayloadCodec& codec, std::string_view text, void* value) {
  FieldReader reader(text);
  reader.value(codec, value, {});
  reader.end();
}

}  // namespace quern::inline v1::detail
