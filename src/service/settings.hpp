#pragma once

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/setting_values.hpp"
#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "quern/work/worker.hpp"

namespace quern::inline v1::detail {

// A configuration's settings are described once, by a function template that tells a visitor of each, and visited to be read
// from JSON, to be read from the environment, and to be written. The visitors have in common:
//
//   value(name, member, range)        a number or duration          value(name, member)   a bool or a text
//   maybe(name, optional number)      choice(name, member, names)
//   texts(name, texts)                amounts(name, resources)
//   group(name, describe(visitor))    maybe_group(name, optional part, describe(visitor, part))
//   list(name, parts, describe(visitor, part))
//   maybe_list(name, optional parts, describe(visitor, part))
//
// and those of JSON, for the parts of lists: moments(name, times), json(name, text of any JSON), and optional times.

/// All that is wrong, one line each, beginning with where it stands.
struct SettingFaults {
  std::vector<std::string> lines{};
  void add(std::string_view where, std::string_view problem) {
    lines.push_back(fmt::format("{}: {}", where, problem));
  }
  void throw_if_any() {
    if (!lines.empty()) throw ConfigError(std::move(lines));
  }
};

template <class Enum, std::size_t count>
using SettingNames = std::array<std::pair<std::string_view, Enum>, count>;

/// Reads an object of JSON. What it does not name stays as it is.
class JsonSettings {
 public:
  using Json = nlohmann::json;

  /// `where` is what faults call the object; empty for the whole.
  JsonSettings(const Json& object, std::string where, SettingFaults& faults)
      : object_(object), where_(std::move(where)), faults_(faults) {
    if (!object_.is_object()) faults_.add(where_.empty() ? "configuration" : where_, "must be an object");
  }

  template <class T>
  void value(const char* name, T& member, const Range<T>& range) {
    const Json* const found = find(name);
    if (found == nullptr) return;
    T read = member;
    std::string problem = read_setting(*found, read);
    if (problem.empty()) problem = out_of(read, range);
    if (!problem.empty()) return fault(name, problem);
    member = read;
  }
  template <class T>
  void value(const char* name, T& member) {
    const Json* const found = find(name);
    if (found == nullptr) return;
    if (const auto problem = read_setting(*found, member); !problem.empty()) fault(name, problem);
  }
  template <class T>
  void maybe(const char* name, std::optional<T>& member) {
    const Json* const found = find(name);
    if (found == nullptr) return;
    T read{};
    if (const auto problem = read_setting(*found, read); !problem.empty()) return fault(name, problem);
    member = read;
  }
  template <class Enum, std::size_t count>
  void choice(const char* name, Enum& member, const SettingNames<Enum, count>& names) {
    const Json* const found = find(name);
    if (found == nullptr) return;
    std::string all;
    for (const auto& [text, one] : names) {
      if (*found == text) {
        member = one;
        return;
      }
      all += fmt::format("{}\"{}\"", all.empty() ? "" : ", ", text);
    }
    fault(name, fmt::format("must be one of {}", all));
  }
  void texts(const char* name, std::vector<std::string>& member) {
    const Json* const found = find(name);
    if (found == nullptr) return;
    if (!found->is_array()) return fault(name, "must be a list of texts");
    std::vector<std::string> read;
    for (std::size_t i = 0; i < found->size(); ++i)
      if (const auto problem = read_setting((*found)[i], read.emplace_back()); !problem.empty())
        return fault(fmt::format("{}[{}]", name, i), problem);
    member = std::move(read);
  }
  void moments(const char* name, std::vector<TimePoint>& member) {
    const Json* const found = find(name);
    if (found == nullptr) return;
    if (!found->is_array()) return fault(name, "must be a list of times");
    std::vector<TimePoint> read;
    for (std::size_t i = 0; i < found->size(); ++i)
      if (const auto problem = read_setting((*found)[i], read.emplace_back()); !problem.empty())
        return fault(fmt::format("{}[{}]", name, i), problem);
    member = std::move(read);
  }
  void json(const char* name, std::string& member) {
    if (const Json* const found = find(name)) member = found->dump();
  }
  void amounts(const char* name, Resources& member) {
    const Json* const found = find(name);
    if (found == nullptr) return;
    if (!found->is_object()) return fault(name, "must be an object, with amounts by their names");
    Resources read;
    for (const auto& [what, amount] : found->items())
      if (const auto problem = read_setting(amount, read[what]); !problem.empty())
        return fault(fmt::format("{}.{}", name, clean_message(what, longest_shown)), problem);
    member = std::move(read);
  }
  template <class Describe>
  void group(const char* name, const Describe& describe) {
    if (const Json* const found = find(name)) read(*found, place(name), faults_, describe);
  }
  template <class T, class Describe>
  void maybe_group(const char* name, std::optional<T>& member, const Describe& describe) {
    const Json* const found = find(name);
    if (found == nullptr) return;
    if (found->is_null()) {
      member.reset();
      return;
    }
    if (!member) member.emplace();
    read(*found, place(name), faults_, [&](auto& settings) { describe(settings, *member); });
  }
  /// The parts are made anew: those that were there are forgotten.
  template <class T, class Describe>
  void list(const char* name, std::vector<T>& member, const Describe& describe) {
    const Json* const found = find(name);
    if (found == nullptr) return;
    if (!found->is_array()) return fault(name, "must be a list");
    member.clear();
    for (std::size_t i = 0; i < found->size(); ++i) {
      T& part = member.emplace_back();
      read((*found)[i], fmt::format("{}[{}]", place(name), i), faults_,
           [&](auto& settings) { describe(settings, part); });
    }
  }
  template <class T, class Describe>
  void maybe_list(const char* name, std::optional<std::vector<T>>& member, const Describe& describe) {
    const Json* const found = find(name);
    if (found == nullptr) return;
    if (found->is_null())
      member.reset();
    else
      list(name, member ? *member : member.emplace(), describe);
  }
  /// What stands there; null where nothing does.
  [[nodiscard]] const Json* find(const char* name) {
    known_.emplace_back(name);
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }
  void fault(std::string_view name, std::string_view problem) { faults_.add(place(name), problem); }
  [[nodiscard]] std::string place(std::string_view name) const {
    return where_.empty() ? std::string(name) : fmt::format("{}.{}", where_, name);
  }

  /// Reads all of an object, and finds names in it that `describe` has not told of.
  template <class Describe>
  static void read(const Json& object, std::string where, SettingFaults& faults, const Describe& describe) {
    JsonSettings settings(object, std::move(where), faults);
    describe(settings);
    settings.check_names();
  }

 private:
  static constexpr std::size_t longest_shown = 64;

  void check_names() {
    if (!object_.is_object()) return;
    for (const auto& [name, value] : object_.items()) {
      if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
      const std::string text = clean_message(name, longest_shown);
      fault(text, fmt::format("is not known; did you mean {}?", nearest_name(text, known_)));
    }
  }

  const Json& object_;
  const std::string where_;
  SettingFaults& faults_;
  std::vector<std::string> known_;
};

/// Reads variables: "pool.scaling.minWorkers" is QUERN_POOL_SCALING_MIN_WORKERS. Lists and amounts are JSON in one variable.
/// An empty variable is none.
class VariableSettings {
 public:
  using Json = nlohmann::json;
  using Lookup = std::function<std::optional<std::string>(const std::string& name)>;

  VariableSettings(const Lookup& get, std::string where, SettingFaults& faults)
      : get_(get), where_(std::move(where)), faults_(faults) {}

  template <class T>
  void value(const char* name, T& member, const Range<T>& range) {
    read_one(name, false, [&](JsonSettings& settings, const char* as) { settings.value(as, member, range); });
  }
  template <class T>
  void value(const char* name, T& member) {
    read_one(name, std::is_same_v<T, std::string>,
             [&](JsonSettings& settings, const char* as) { settings.value(as, member); });
  }
  void maybe(const char* name, std::optional<double>& member) {
    read_one(name, false, [&](JsonSettings& settings, const char* as) { settings.maybe(as, member); });
  }
  template <class Enum, std::size_t count>
  void choice(const char* name, Enum& member, const SettingNames<Enum, count>& names) {
    read_one(name, true, [&](JsonSettings& settings, const char* as) { settings.choice(as, member, names); });
  }
  void texts(const char* name, std::vector<std::string>& member) {
    read_json(name, [&](JsonSettings& settings, const char* as) { settings.texts(as, member); });
  }
  void amounts(const char* name, Resources& member) {
    read_json(name, [&](JsonSettings& settings, const char* as) { settings.amounts(as, member); });
  }
  template <class Describe>
  void group(const char* name, const Describe& describe) {
    VariableSettings inner(get_, fmt::format("{}{}.", where_, name), faults_);
    describe(inner);
    any_ = any_ || inner.any_;
  }
  /// There where any of its variables is.
  template <class T, class Describe>
  void maybe_group(const char* name, std::optional<T>& member, const Describe& describe) {
    T part = member.value_or(T{});
    VariableSettings inner(get_, fmt::format("{}{}.", where_, name), faults_);
    describe(inner, part);
    if (!inner.any_) return;
    any_ = true;
    member = std::move(part);
  }
  template <class T, class Describe>
  void list(const char* name, std::vector<T>& member, const Describe& describe) {
    read_json(name, [&](JsonSettings& settings, const char* as) { settings.list(as, member, describe); });
  }
  template <class T, class Describe>
  void maybe_list(const char* name, std::optional<std::vector<T>>& member, const Describe& describe) {
    read_json(name,
              [&](JsonSettings& settings, const char* as) { settings.maybe_list(as, member, describe); });
  }

 private:
  [[nodiscard]] std::optional<std::string> look_up(const std::string& variable) {
    auto text = get_(variable);
    if (text && text->empty()) text.reset();
    any_ = any_ || text.has_value();
    return text;
  }
  /// An object with this one value under the variable's name, so that faults name that.
  template <class Read>
  void read_one(const char* name, bool is_text, const Read& read) {
    const std::string variable = variable_of(where_ + name);
    const auto text = look_up(variable);
    if (!text) return;
    const Json object{{variable, is_text ? Json(*text) : json_of_variable(*text)}};
    JsonSettings settings(object, {}, faults_);
    read(settings, variable.c_str());
  }
  template <class Read>
  void read_json(const char* name, const Read& read) {
    const std::string variable = variable_of(where_ + name);
    const auto text = look_up(variable);
    if (!text) return;
    try {
      check_json(*text, variable, JobLimits{});
    } catch (const InvalidArgument& e) {
      faults_.lines.emplace_back(e.what());
      return;
    }
    const Json object{{variable, Json::parse(*text)}};
    JsonSettings settings(object, {}, faults_);
    read(settings, variable.c_str());
  }

  const Lookup& get_;
  const std::string where_;
  SettingFaults& faults_;
  bool any_ = false;
};

/// Writes what JsonSettings reads.
class SettingsWriter {
 public:
  using Json = nlohmann::ordered_json;

  explicit SettingsWriter(Json& object) : object_(object) { object_ = Json::object(); }

  template <class T>
  void value(const char* name, const T& member, const Range<T>& /*range*/) {
    value(name, member);
  }
  template <class T>
  void value(const char* name, const T& member) {
    if constexpr (std::is_same_v<T, Duration>)
      object_[name] = to_text(member);
    else if constexpr (std::is_same_v<T, TimePoint>)
      object_[name] = to_rfc3339(member);
    else
      object_[name] = member;
  }
  template <class T>
  void maybe(const char* name, const std::optional<T>& member) {
    if (member) value(name, *member);
  }
  template <class Enum, std::size_t count>
  void choice(const char* name, const Enum& member, const SettingNames<Enum, count>& names) {
    for (const auto& [text, one] : names)
      if (one == member) object_[name] = text;
  }
  void texts(const char* name, const std::vector<std::string>& member) { object_[name] = member; }
  void moments(const char* name, const std::vector<TimePoint>& member) {
    Json& all = object_[name] = Json::array();
    for (const TimePoint time : member) all.push_back(to_rfc3339(time));
  }
  /// Null where it is no JSON, which is for others to find.
  void json(const char* name, const std::string& member) {
    try {
      check_json(member, name, JobLimits{});
      object_[name] = Json::parse(member);
    } catch (const InvalidArgument&) {
      object_[name] = nullptr;
    }
  }
  void amounts(const char* name, const Resources& member) {
    object_[name] = Json::object();
    for (const auto& [what, amount] : member) object_[name][what] = amount;
  }
  template <class Describe>
  void group(const char* name, const Describe& describe) {
    SettingsWriter inner(object_[name]);
    describe(inner);
  }
  template <class T, class Describe>
  void maybe_group(const char* name, const std::optional<T>& member, const Describe& describe) {
    if (!member) return;
    SettingsWriter inner(object_[name]);
    describe(inner, *member);
  }
  template <class T, class Describe>
  void list(const char* name, const std::vector<T>& member, const Describe& describe) {
    Json& all = object_[name] = Json::array();
    for (const T& part : member) {
      SettingsWriter inner(all.emplace_back());
      describe(inner, part);
    }
  }
  template <class T, class Describe>
  void maybe_list(const char* name, const std::optional<std::vector<T>>& member, const Describe& describe) {
    if (member) list(name, *member, describe);
  }

 private:
  Json& object_;
};

}  // namespace quern::inline v1::detail
