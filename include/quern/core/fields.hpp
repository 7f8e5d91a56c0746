#pragma once

#include "quern/core/detail/codec_of.hpp"
#include "quern/core/detail/list_fields.hpp"

namespace quern::inline v1 {

/// A struct whose fields QUERN_FIELDS has listed. quern packs it within the process, and writes and reads it
/// as JSON where it is stored; several times faster than nlohmann::json, and cheap to compile.
template <class T>
concept HasFields = detail::HasFields<T>;

}  // namespace quern::inline v1

/// Lists what of a struct travels in a payload. Stands at namespace scope, behind the struct and in its
/// namespace:
///
///     struct SendDigest {
///       static constexpr std::string_view kind = "digest.send";
///       std::string repository;
///       std::int64_t user_id = 0;
///       std::vector<std::string> recipients;
///     };
///     QUERN_FIELDS(SendDigest, repository, user_id, recipients)
///
/// Fields   none to 32 members, public and also of a base: bool, integers, float, double, enums (as their
///          integer), std::string, std::chrono durations and sys_time with an integer count (as that),
///          structs with QUERN_FIELDS, and std::optional, std::vector, std::array and std::map<std::string,
///          ...> of these.
/// Writing  compact JSON, fields in the order listed, an empty optional as null. Strings must be UTF-8
///          without NUL, floating-point numbers finite, nesting at most 64 deep; else InvalidArgument that
///          names the member: "payload.recipients[3]" (an entry of a map by its place, not its key).
/// Reading  names in any order; unknown ones are skipped, and a field that the text does not name keeps the
///          value that a default-made struct has, so that fields can be added and dropped while jobs wait. A
///          value of another type or out of the member's range (an enum's: of its integer) is refused, as is
///          a field that is named twice.
#define QUERN_FIELDS(Type, ...)                                            \
  template <class QuernList>                                               \
  constexpr void quern_list_fields([[maybe_unused]] QuernList& quern_list, \
                                   ::quern::detail::FieldsOf<Type>) {      \
    using QuernType [[maybe_unused]] = Type;                               \
    QUERN_DETAIL_ADD_FIELDS(__VA_ARGS__)                                   \
  }
