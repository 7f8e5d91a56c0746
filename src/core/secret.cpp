#include "quern/core/secret.hpp"

#include <algorithm>
#include <ostream>
#include <vector>

#include "quern/core/detail/redactor.hpp"

namespace quern::inline v1 {

std::ostream& operator<<(std::ostream& out, const Secret& /*secret*/) { return out << Secret::hidden; }

namespace detail {
namespace {

/// `seen`: tables that were looked at, since a struct may contain a list of itself.
bool look(const PayloadCodec& codec, std::vector<const PayloadCodec*>& seen) {
  if (codec.secret) return true;
  if (codec.element == nullptr && codec.fields == nullptr) return false;
  if (std::ranges::find(seen, &codec) != seen.end()) return false;
  seen.push_back(&codec);
  if (codec.element != nullptr) return look(*codec.element, seen);
  return std::any_of(codec.fields, codec.fields + codec.count,
                     [&](const Field& field) { return look(*field.codec, seen); });
}

struct Collector {
  Redactor& redactor;

  void elements(const PayloadCodec& codec, void* first, std::size_t count) const {
    auto* at = static_cast<char*>(first);
    for (std::size_t i = 0; i < count; ++i, at += codec.stride) value(*codec.element, at);
  }

  void value(const PayloadCodec& codec, void* object) const {
    switch (codec.shape) {
      case Shape::string:
        if (codec.secret) redactor.add(static_cast<const Secret*>(object)->reveal());
        return;
      case Shape::optional:
        if (void* const inside = codec.optional->get(object)) value(*codec.element, inside);
        return;
      case Shape::list:
        return elements(codec, codec.list->data(object), codec.list->size(object));
      case Shape::array:
        return elements(codec, object, codec.count);
      case Shape::map: {
        struct State {
          const Collector& collector;
          const PayloadCodec& element;
        } state{*this, *codec.element};
        codec.map->each(
            object,
            [](void* raw, const std::string& /*key*/, void* element) {
              const auto& s = *static_cast<State*>(raw);
              s.collector.value(s.element, element);
            },
            &state);
        return;
      }
      case Shape::object:
        for (std::size_t i = 0; i < codec.count; ++i)
          value(*codec.fields[i].codec, codec.fields[i].member(object));
        return;
      default:
        return;
    }
  }
};

}  // namespace

bool has_secrets(const PayloadCodec& codec) {
  std::vector<const PayloadCodec*> seen;
  return look(codec, seen);
}

void collect_secrets(const PayloadCodec& codec, void* value, Redactor& redactor) {
  Collector{redactor}.value(codec, value);
}

}  // namespace detail
}  // namespace quern::inline v1
