#include <cassert>

#include "core/packed.hpp"
#include "quern/core/detail/payload_codec.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::detail {
namespace {

void read_value(PackedReader& in, const PayloadCodec& codec, void* object);

void read_elements(PackedReader& in, const PayloadCodec& codec, void* first, std::size_t count) {
  auto* at = static_cast<char*>(first);
  for (std::size_t i = 0; i < count; ++i, at += codec.stride) read_value(in, *codec.element, at);
}

void read_list(PackedReader& in, const PayloadCodec& codec, void* object) {
  const std::size_t count = in.count();
  codec.list->resize(object, 0);  // so that each element begins as a default-made one
  codec.list->resize(object, count);
  read_elements(in, codec, codec.list->data(object), count);
}

void read_map(PackedReader& in, const PayloadCodec& codec, void* object) {
  codec.map->clear(object);
  for (std::size_t left = in.count(); left > 0; --left) {
    void* const element = codec.map->add(object, std::string(in.string()));
    if (element == nullptr) throw InvalidArgument("payload", "its packed form has a name twice");
    read_value(in, *codec.element, element);
  }
}

void read_number(PackedReader& in, void* object, std::size_t bytes) {
  std::memcpy(object, in.take(bytes), bytes);
}

void read_value(PackedReader& in, const PayloadCodec& codec, void* object) {
  switch (codec.shape) {
    case Shape::boolean: {
      const bool value = in.boolean();
      std::memcpy(object, &value, sizeof(value));
      return;
    }
    case Shape::int8:
    case Shape::uint8:
      return read_number(in, object, 1);
    case Shape::int16:
    case Shape::uint16:
      return read_number(in, object, 2);
    case Shape::int32:
    case Shape::uint32:
    case Shape::float32:
      return read_number(in, object, 4);
    case Shape::int64:
    case Shape::uint64:
    case Shape::float64:
      return read_number(in, object, 8);
    case Shape::string:
      static_cast<std::string*>(object)->assign(in.string());
      return;
    case Shape::optional:
      if (in.boolean())
        read_value(in, *codec.element, codec.optional->emplace(object));
      else
        codec.optional->reset(object);
      return;
    case Shape::list:
      in.enter();
      read_list(in, codec, object);
      return in.leave();
    case Shape::bits:
      in.enter();
      codec.bits->clear(object);
      for (std::size_t left = in.count(); left > 0; --left) codec.bits->append(object, in.boolean());
      return in.leave();
    case Shape::array:
      in.enter();
      read_elements(in, codec, object, codec.count);
      return in.leave();
    case Shape::map:
      in.enter();
      read_map(in, codec, object);
      return in.leave();
    case Shape::object:
      in.enter();
      if (codec.count == 0) static_cast<void>(in.take(1));
      for (std::size_t i = 0; i < codec.count; ++i)
        read_value(in, *codec.fields[i].codec, codec.fields[i].member(object));
      return in.leave();
  }
}

}  // namespace

void PackedReader::refuse() { throw InvalidArgument("payload", "its packed form is cut off or damaged"); }

void unpack(const PayloadCodec& codec, std::string_view bytes, void* value) {
  PackedReader in(bytes);
  read_value(in, codec, value);
  in.end();
}

PackedFacts packed_facts(std::string_view bytes) {
  assert(bytes.size() > PackedHeader::bytes);
  std::uint32_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof(size));
  return {.max_json_bytes = size == PackedHeader::unknown ? UINT64_MAX : size,
          .depth = static_cast<unsigned char>(bytes[sizeof(size)])};
}

}  // namespace quern::inline v1::detail
