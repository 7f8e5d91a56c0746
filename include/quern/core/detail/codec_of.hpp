#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "quern/core/detail/payload_codec.hpp"

// Makes the table of a type. All that can be done without the type is compiled in src/core.

namespace quern::inline v1::detail {

/// Leads overload resolution to the fields of exactly T, not of a base.
template <class T>
struct FieldsOf {};

/// Collects what QUERN_FIELDS lists.
struct FieldList {
  static constexpr std::size_t most = 32;
  Field fields[most]{};
  std::size_t count = 0;
  bool distinct = true;

  template <class T>
  constexpr void add(std::string_view quoted, void* (*member)(void*) noexcept) noexcept;
};

template <class T>
concept HasFields = std::is_class_v<T> &&
                    requires(FieldList& list) { quern_list_fields(list, FieldsOf<std::remove_cv_t<T>>{}); };

template <class T>
concept IntegerField =
    std::integral<T> && sizeof(T) <= 8 && !std::same_as<T, bool> && !std::same_as<T, wchar_t> &&
    !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

// std::map by what it is like, to spare the header. It is ordered, or the same value would not have one text.
template <class T>
concept MapField = std::same_as<typename T::key_type, std::string> && requires(T& map, std::string key) {
  typename T::key_compare;
  { map.try_emplace(std::move(key)).first->second } -> std::same_as<typename T::mapped_type&>;
};

template <IntegerField T>
[[nodiscard]] constexpr Shape integer_shape() noexcept {
  constexpr auto first = std::is_signed_v<T> ? Shape::int8 : Shape::uint8;
  constexpr int step = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
  return static_cast<Shape>(static_cast<int>(first) + step);
}

/// Makes `codec`, the one table of a type. No constexpr member where others are in it: their addresses are
/// needed before their contents, since a struct may contain a list of itself.
template <class T>
struct CodecOf {
  static_assert(
      !std::same_as<T, T>,
      "QUERN_FIELDS: a field must be a bool, an integer, a float or double, an enum, a std::string, a "
      "std::chrono duration or sys_time with an integer count, a std::optional, std::vector, std::array "
      "or std::map<std::string, ...> of these, or a struct with QUERN_FIELDS of its own (before this "
      "one). Give the struct NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE instead if nlohmann::json knows it.");
  static constexpr PayloadCodec codec{};
};

template <Shape S>
struct ScalarCodec {
  static constexpr PayloadCodec codec{.shape = S};
};
template <>
struct CodecOf<bool> : ScalarCodec<Shape::boolean> {};
template <IntegerField T>
struct CodecOf<T> : ScalarCodec<integer_shape<T>()> {};
template <>
struct CodecOf<float> : ScalarCodec<Shape::float32> {};
template <>
struct CodecOf<double> : ScalarCodec<Shape::float64> {};
template <>
struct CodecOf<std::string> : ScalarCodec<Shape::string> {};
template <class T>
  requires std::is_enum_v<T>
struct CodecOf<T> : CodecOf<std::underlying_type_t<T>> {};

template <class T>
constexpr void FieldList::add(std::string_view quoted, void* (*member)(void*) noexcept) noexcept {
  for (std::size_t i = 0; i < count && i < most; ++i) distinct = distinct && fields[i].quoted != quoted;
  if (count < most) fields[count] = {quoted, &CodecOf<T>::codec, member};
  ++count;
}

template <HasFields T>
struct CodecOf<T> {
  static constexpr FieldList list() noexcept {
    FieldList made;
    quern_list_fields(made, FieldsOf<T>{});
    return made;
  }
  template <std::size_t Count>
  struct Table {
    Field fields[Count == 0 ? 1 : Count]{};
  };
  template <std::size_t Count>
  static constexpr Table<Count> table() noexcept {
    static_assert(Count <= FieldList::most,
                  "QUERN_FIELDS takes at most 32 fields; put some in a struct of their own");
    static_assert(list().distinct, "QUERN_FIELDS names a field twice");
    static_assert(std::is_default_constructible_v<T>,
                  "a struct with QUERN_FIELDS must be default constructible");
    Table<Count> made;
    const FieldList all = list();
    for (std::size_t i = 0; i < Count; ++i) made.fields[i] = all.fields[i];
    return made;
  }
  template <std::size_t Count>
  static constexpr Table<Count> fields = table<Count>();

  static const PayloadCodec codec;
};
template <HasFields T>
constinit const PayloadCodec CodecOf<T>::codec{
    .shape = Shape::object, .count = list().count, .fields = fields<list().count>.fields};

// One member, of which the count is the only one: it stands at the same address.
template <IntegerField Count, class Period>
struct CodecOf<std::chrono::duration<Count, Period>> : CodecOf<Count> {
  static_assert(std::is_standard_layout_v<std::chrono::duration<Count, Period>> &&
                sizeof(std::chrono::duration<Count, Period>) == sizeof(Count));
};
template <class Duration>
struct CodecOf<std::chrono::sys_time<Duration>> : CodecOf<Duration> {
  static_assert(std::is_standard_layout_v<std::chrono::sys_time<Duration>> &&
                sizeof(std::chrono::sys_time<Duration>) == sizeof(Duration));
};

template <class T>
struct CodecOf<std::optional<T>> {
  using Optional = std::optional<T>;
  static Optional& of(void* value) noexcept { return *static_cast<Optional*>(value); }
  static constexpr OptionalAccess access{
      [](void* value) noexcept -> void* { return of(value) ? &*of(value) : nullptr; },
      [](void* value) -> void* { return &of(value).emplace(); },
      [](void* value) noexcept { of(value).reset(); },
  };
  static const PayloadCodec codec;
};
template <class T>
constinit const PayloadCodec CodecOf<std::optional<T>>::codec{
    .shape = Shape::optional, .element = &CodecOf<T>::codec, .optional = &access};
template <class T>
struct CodecOf<std::optional<std::optional<T>>> {
  static_assert(!std::same_as<T, T>, "QUERN_FIELDS: JSON has no text for an optional in an optional");
  static constexpr PayloadCodec codec{};
};

template <class T>
struct CodecOf<std::vector<T>> {
  using List = std::vector<T>;
  static List& of(void* value) noexcept { return *static_cast<List*>(value); }
  static constexpr ListAccess access{
      [](const void* value) noexcept { return static_cast<const List*>(value)->size(); },
      [](void* value) noexcept -> void* { return of(value).data(); },
      [](void* value, std::size_t size) { of(value).resize(size); },
      [](void* value) -> void* {
        List& list = of(value);
        if (list.capacity() == 0) list.reserve(4);
        return &list.emplace_back();
      },
  };
  static const PayloadCodec codec;
};
template <class T>
constinit const PayloadCodec CodecOf<std::vector<T>>::codec{
    .shape = Shape::list, .stride = sizeof(T), .element = &CodecOf<T>::codec, .list = &access};

template <>
struct CodecOf<std::vector<bool>> {
  using List = std::vector<bool>;
  static constexpr BitsAccess access{
      [](const void* value) noexcept { return static_cast<const List*>(value)->size(); },
      [](const void* value, std::size_t at) noexcept -> bool {
        return (*static_cast<const List*>(value))[at];
      },
      [](void* value) noexcept { static_cast<List*>(value)->clear(); },
      [](void* value, bool bit) { static_cast<List*>(value)->push_back(bit); },
  };
  static constexpr PayloadCodec codec{.shape = Shape::bits, .bits = &access};
};

template <class T, std::size_t Count>
  requires(Count > 0)
struct CodecOf<std::array<T, Count>> {
  static_assert(sizeof(std::array<T, Count>) == Count * sizeof(T));
  static const PayloadCodec codec;
};
template <class T, std::size_t Count>
  requires(Count > 0)
constinit const PayloadCodec CodecOf<std::array<T, Count>>::codec{
    .shape = Shape::array, .count = Count, .stride = sizeof(T), .element = &CodecOf<T>::codec};

template <MapField Map>
struct CodecOf<Map> {
  static Map& of(void* value) noexcept { return *static_cast<Map*>(value); }
  static constexpr MapAccess access{
      [](const void* value) noexcept -> std::size_t { return static_cast<const Map*>(value)->size(); },
      [](void* value, MapAccess::Visit visit, void* state) {
        for (auto& [key, element] : of(value)) visit(state, key, &element);
      },
      [](void* value) noexcept { of(value).clear(); },
      [](void* value, std::string&& key) -> void* {
        const auto [at, added] = of(value).try_emplace(std::move(key));
        return added ? &at->second : nullptr;
      },
  };
  static const PayloadCodec codec;
};
template <MapField Map>
constinit const PayloadCodec CodecOf<Map>::codec{
    .shape = Shape::map, .element = &CodecOf<typename Map::mapped_type>::codec, .map = &access};

}  // namespace quern::inline v1::detail
