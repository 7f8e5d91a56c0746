#include "support/json_schema.hpp"

#include <algorithm>
#include <regex>
#include <stdexcept>

namespace quern_test {
namespace {

using Json = nlohmann::json;

const std::set<std::string> known_keywords{"type",     "properties",  "required",  "additionalProperties",
                                           "items",    "enum",        "const",     "$ref",
                                           "oneOf",    "allOf",       "minimum",   "maximum",
                                           "pattern",  "format",      "minLength", "maxLength",
                                           "minItems", "description", "examples",  "default"};

bool has_type(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  throw std::invalid_argument("there is no type " + type);
}

bool has_type(const Json& value, const Json& types) {
  if (types.is_string()) return has_type(value, types.get<std::string>());
  return std::ranges::any_of(types,
                             [&](const Json& type) { return has_type(value, type.get<std::string>()); });
}

bool is_date_time(const std::string& text) {
  static const std::regex form(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))");
  return std::regex_match(text, form);
}

std::string shown(const Json& value) {
  std::string text = value.dump();
  constexpr std::size_t enough = 200;
  if (text.size() > enough) text.resize(enough);
  return text;
}

/// What one keyword says of a value that is no matter of other values.
bool holds(const std::string& keyword, const Json& wanted, const Json& value) {
  if (keyword == "type") return has_type(value, wanted);
  if (keyword == "enum") return std::ranges::find(wanted, value) != wanted.end();
  if (keyword == "const") return wanted == value;
  if (keyword == "minimum") return !value.is_number() || value >= wanted;
  if (keyword == "maximum") return !value.is_number() || value <= wanted;
  if (keyword == "minItems") return !value.is_array() || value.size() >= wanted.get<std::size_t>();
  if (!value.is_string()) return true;
  const auto& text = value.get_ref<const std::string&>();
  if (keyword == "minLength") return text.size() >= wanted.get<std::size_t>();
  if (keyword == "maxLength") return text.size() <= wanted.get<std::size_t>();
  if (keyword == "pattern") return std::regex_search(text, std::regex(wanted.get<std::string>()));
  if (keyword == "format") {
    if (wanted != "date-time") throw std::invalid_argument("there is no format " + wanted.dump());
    return is_date_time(text);
  }
  return true;
}

}  // namespace

std::string pointer_step(const std::string& name) {
  std::string step;
  for (const char c : name) {
    if (c == '~')
      step += "~0";
    else if (c == '/')
      step += "~1";
    else
      step += c;
  }
  return step;
}

const Json& JsonSchema::at(const std::string& pointer) const {
  return document_.at(Json::json_pointer(pointer));
}

std::string JsonSchema::resolved(std::string pointer) const {
  while (at(pointer).is_object() && at(pointer).contains("$ref")) {
    const auto target = at(pointer)["$ref"].get<std::string>();
    if (!target.starts_with("#/")) throw std::invalid_argument("a $ref to elsewhere: " + target);
    pointer = target.substr(1);
  }
  return pointer;
}

std::vector<std::string> JsonSchema::check(const std::string& pointer, const Json& value) {
  Visit found;
  visit(pointer, value, "", true, found);
  if (found.faults.empty()) met_.merge(found.met);
  return found.faults;
}

void JsonSchema::visit(const std::string& pointer, const Json& value, const std::string& where, bool closed,
                       Visit& to) const {
  const Json& schema = at(pointer);
  for (const auto& [keyword, wanted] : schema.items()) {
    if (!known_keywords.contains(keyword) && !keyword.starts_with("x-"))
      throw std::invalid_argument(pointer + " has a keyword that is not known: " + keyword);
    if (!holds(keyword, wanted, value))
      to.faults.push_back(where + ": " + shown(value) + " is not of " + keyword + " " + shown(wanted));
  }
  if (schema.contains("$ref")) visit(resolved(pointer), value, where, closed, to);
  if (schema.contains("oneOf")) visit_one_of(pointer, value, where, to);
  if (schema.contains("allOf"))
    for (std::size_t i = 0; i < schema["allOf"].size(); ++i)
      visit(pointer + "/allOf/" + std::to_string(i), value, where, false, to);
  if (value.is_array() && schema.contains("items"))
    for (std::size_t i = 0; i < value.size(); ++i)
      visit(pointer + "/items", value[i], where + "/" + std::to_string(i), true, to);
  if (value.is_object()) visit_object(pointer, value, where, closed, to);
}

void JsonSchema::visit_object(const std::string& pointer, const Json& value, const std::string& where,
                              bool closed, Visit& to) const {
  const Json& schema = at(pointer);
  if (schema.contains("required"))
    for (const Json& name : schema["required"])
      if (!value.contains(name.get<std::string>())) to.faults.push_back(where + ": has no " + name.dump());
  const bool has_rest = schema.contains("additionalProperties");
  const bool open = has_rest && schema["additionalProperties"] != false;
  const bool lists = schema.contains("properties") || schema.contains("allOf");
  const auto known = names(pointer);
  for (const auto& [name, member] : value.items()) {
    const std::string place = where + "/" + pointer_step(name);
    if (schema.contains("properties") && schema["properties"].contains(name)) {
      const std::string inner = pointer + "/properties/" + pointer_step(name);
      to.met.insert(inner);
      visit(inner, member, place, true, to);
    } else if (has_rest && schema["additionalProperties"].is_object()) {
      visit(pointer + "/additionalProperties", member, place, true, to);
    } else if (closed && !open && (lists || has_rest) && !known.contains(name)) {
      to.faults.push_back(place + ": is not known");
    }
  }
}

void JsonSchema::visit_one_of(const std::string& pointer, const Json& value, const std::string& where,
                              Visit& to) const {
  std::vector<Visit> fitting;
  std::vector<std::string> nearest;
  for (std::size_t i = 0; i < at(pointer)["oneOf"].size(); ++i) {
    Visit one;
    visit(pointer + "/oneOf/" + std::to_string(i), value, where, true, one);
    if (one.faults.empty())
      fitting.push_back(std::move(one));
    else if (nearest.empty() || one.faults.size() < nearest.size())
      nearest = one.faults;
  }
  if (fitting.size() == 1) return to.met.merge(fitting.front().met);
  if (!fitting.empty()) nearest = {where + ": " + shown(value) + " fits several of " + pointer};
  to.faults.insert(to.faults.end(), nearest.begin(), nearest.end());
}

/// Of all parts of an `allOf`, too.
std::set<std::string> JsonSchema::names(const std::string& pointer) const {
  std::set<std::string> all;
  const std::string place = resolved(pointer);
  const Json& schema = at(place);
  if (schema.contains("properties"))
    for (const auto& [name, ignored] : schema["properties"].items()) all.insert(name);
  if (schema.contains("allOf"))
    for (std::size_t i = 0; i < schema["allOf"].size(); ++i)
      all.merge(names(place + "/allOf/" + std::to_string(i)));
  return all;
}

std::set<std::string> JsonSchema::properties(const std::string& pointer) const {
  std::set<std::string> seen;
  std::set<std::string> all;
  collect(pointer, seen, all);
  return all;
}

void JsonSchema::collect(const std::string& pointer, std::set<std::string>& seen,
                         std::set<std::string>& to) const {
  const std::string place = resolved(pointer);
  if (!seen.insert(place).second) return;
  const Json& schema = at(place);
  if (schema.contains("properties")) {
    for (const auto& [name, ignored] : schema["properties"].items()) {
      const std::string inner = place + "/properties/" + pointer_step(name);
      to.insert(inner);
      collect(inner, seen, to);
    }
  }
  for (const char* const inner : {"items", "additionalProperties"})
    if (schema.contains(inner) && schema[inner].is_object()) collect(place + "/" + inner, seen, to);
  for (const char* const branches : {"oneOf", "allOf"})
    if (schema.contains(branches))
      for (std::size_t i = 0; i < schema[branches].size(); ++i)
        collect(place + "/" + branches + "/" + std::to_string(i), seen, to);
}

}  // namespace quern_test
