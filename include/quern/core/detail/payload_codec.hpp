#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// What is known of a type with QUERN_FIELDS once the type itself is gone: a table. The code that packs,
// writes and reads works off such tables and is compiled once, so that a file that only enqueues compiles
// fast.

namespace quern::inline v1::detail {

enum class Shape : std::uint8_t {
  boolean,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float32,
  float64,
  string,
  optional,
  list,   // std::vector
  bits,   // std::vector<bool>
  array,  // std::array
  map,    // std::map with std::string as its key
  object  // a struct with QUERN_FIELDS
};

struct PayloadCodec;

/// A member of a struct.
struct Field {
  std::string_view quoted{};  ///< Its name as JSON writes it: `"repository":`
  const PayloadCodec* codec = nullptr;
  void* (*member)(void* object) noexcept = nullptr;

  [[nodiscard]] constexpr std::string_view name() const noexcept {
    return quoted.substr(1, quoted.size() - 3);
  }
};

struct OptionalAccess {
  void* (*get)(void* optional) noexcept = nullptr;  ///< Null where it is empty.
  void* (*emplace)(void* optional) = nullptr;
  void (*reset)(void* optional) noexcept = nullptr;
};

struct ListAccess {
  std::size_t (*size)(const void* list) noexcept = nullptr;
  void* (*data)(void* list) noexcept = nullptr;
  void (*resize)(void* list, std::size_t size) = nullptr;
  void* (*append)(void* list) = nullptr;  ///< A new last element.
};

struct BitsAccess {
  std::size_t (*size)(const void* list) noexcept = nullptr;
  bool (*get)(const void* list, std::size_t index) noexcept = nullptr;
  void (*clear)(void* list) noexcept = nullptr;
  void (*append)(void* list, bool bit) = nullptr;
};

struct MapAccess {
  using Visit = void (*)(void* state, const std::string& key, void* value);
  std::size_t (*size)(const void* map) noexcept = nullptr;
  void (*each)(void* map, Visit visit, void* state) = nullptr;
  void (*clear)(void* map) noexcept = nullptr;
  void* (*add)(void* map, std::string&& key) = nullptr;  ///< Null where the key is there already.
};

/// How the values of one type are packed, written and read. One static object per type, known by its address:
/// what one codec packed, only the same one unpacks.
struct PayloadCodec {
  Shape shape = Shape::boolean;
  std::size_t count = 0;                  ///< Of an array's elements, or a struct's fields.
  std::size_t stride = 0;                 ///< Bytes from one element of a list or array to the next.
  const PayloadCodec* element = nullptr;  ///< Of an optional, list, array or map.
  const Field* fields = nullptr;
  const OptionalAccess* optional = nullptr;
  const ListAccess* list = nullptr;
  const BitsAccess* bits = nullptr;
  const MapAccess* map = nullptr;
  bool secret = false;  ///< A string that must not be seen; see quern/core/secret.hpp.
};

/// How deep lists and structs may be nested in each other.
inline constexpr int max_fields_depth = 64;

/// The value in a packed form, which never leaves the process. Throws InvalidArgument, with the member's path
/// as its field ("payload.recipients[3]"), for a string that is not UTF-8 or contains NUL and for a number
/// that is not finite; field "payload" where it is nested too deep.
[[nodiscard]] std::string pack(const PayloadCodec& codec, const void* value);

/// The inverse. Throws InvalidArgument (field "payload") for bytes that `codec` can't have packed, as far as
/// that shows: it reads nothing outside of them.
void unpack(const PayloadCodec& codec, std::string_view bytes, void* value);

/// What is known of a packed value without reading all of it.
struct PackedFacts {
  std::uint64_t max_json_bytes = 0;  ///< Its JSON text is not longer; near to it but for numbers.
  int depth = 0;
};
[[nodiscard]] PackedFacts packed_facts(std::string_view bytes);

/// The JSON text of a packed value: compact, fields in declared order. Throws as `unpack`.
[[nodiscard]] std::string json_of_packed(const PayloadCodec& codec, std::string_view bytes);

/// Reads JSON text in one pass straight into the value. Names may come in any order; those that the type does
/// not have are skipped, and what the text does not name keeps its value. Throws InvalidArgument (field
/// "payload") for any other text, with the place, never the contents; the value is then half read.
void read_json(const PayloadCodec& codec, std::string_view text, void* value);

}  // namespace quern::inline v1::detail
