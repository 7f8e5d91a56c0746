#include <charconv>

#include "core/byte_sink.hpp"
#include "core/json_text.hpp"
#include "core/packed.hpp"
#include "quern/core/detail/payload_codec.hpp"

namespace quern::inline v1::detail {
namespace {

/// Writes what PackedReader reads.
class Transcriber {
 public:
  Transcriber(PackedReader& in, ByteSink& out) : in_(in), out_(out) {}

  void value(const PayloadCodec& codec);

 private:
  template <class T>
  void integer() {
    constexpr std::size_t most = 20;
    char* const to = out_.room(most);
    out_.advance(std::to_chars(to, to + most, in_.number<T>()).ptr);
  }
  void boolean() { out_.put(in_.boolean() ? std::string_view("true") : std::string_view("false")); }

  /// `write` puts one element; `count` of them, in brackets.
  template <class Write>
  void several(char open, std::size_t count, char close, Write write) {
    in_.enter();
    out_.put(open);
    for (std::size_t i = 0; i < count; ++i) {
      if (i > 0) out_.put(',');
      write(i);
    }
    out_.put(close);
    in_.leave();
  }

  PackedReader& in_;
  ByteSink& out_;
};

void Transcriber::value(const PayloadCodec& codec) {
  const auto element = [&](std::size_t /*index*/) { value(*codec.element); };
  switch (codec.shape) {
    case Shape::boolean:
      return boolean();
    case Shape::int8:
      return integer<std::int8_t>();
    case Shape::int16:
      return integer<std::int16_t>();
    case Shape::int32:
      return integer<std::int32_t>();
    case Shape::int64:
      return integer<std::int64_t>();
    case Shape::uint8:
      return integer<std::uint8_t>();
    case Shape::uint16:
      return integer<std::uint16_t>();
    case Shape::uint32:
      return integer<std::uint32_t>();
    case Shape::uint64:
      return integer<std::uint64_t>();
    case Shape::float32:
      return put_json_double(out_, static_cast<double>(in_.number<float>()));
    case Shape::float64:
      return put_json_double(out_, in_.number<double>());
    case Shape::string:
      return put_json_string(out_, in_.string());
    case Shape::optional:
      return in_.boolean() ? value(*codec.element) : out_.put("null");
    case Shape::list:
      return several('[', in_.count(), ']', element);
    case Shape::bits:
      return several('[', in_.count(), ']', [&](std::size_t /*index*/) { boolean(); });
    case Shape::array:
      return several('[', codec.count, ']', element);
    case Shape::map:
      return several('{', in_.count(), '}', [&](std::size_t /*index*/) {
        put_json_string(out_, in_.string());
        out_.put(':');
        value(*codec.element);
      });
    case Shape::object:
      if (codec.count == 0) static_cast<void>(in_.take(1));
      return several('{', codec.count, '}', [&](std::size_t index) {
        out_.put(codec.fields[index].quoted);
        value(*codec.fields[index].codec);
      });
  }
}

}  // namespace

std::string json_of_packed(const PayloadCodec& codec, std::string_view bytes) {
  ByteSink out;
  PackedReader in(bytes);
  Transcriber(in, out).value(codec);
  in.end();
  return out.take();
}

}  // namespace quern::inline v1::detail
