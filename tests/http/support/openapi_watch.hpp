#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/http/message.hpp"
#include "support/json_schema.hpp"

namespace quern_test {

/// One operation of a description.
struct Operation {
  std::string method{};   ///< "get"
  std::string path{};     ///< "/api/jobs/{id}"
  std::string pointer{};  ///< To it in the document.
  const nlohmann::json* node = nullptr;

  [[nodiscard]] std::string id() const { return node->at("operationId").get<std::string>(); }
  [[nodiscard]] std::string permission() const { return node->at("x-permission").get<std::string>(); }
  [[nodiscard]] bool has_body() const { return node->contains("requestBody"); }
  [[nodiscard]] quern::http::Method how() const {
    std::string name = method;
    std::ranges::transform(name, name.begin(), [](char c) { return static_cast<char>(c - 'a' + 'A'); });
    return quern::http::method_of(name).value();
  }
};

/// Compares answers with a description, and remembers what of it was met.
class OpenApiWatch {
 public:
  using json = nlohmann::json;

  explicit OpenApiWatch(json document) : schemas_(std::move(document)) {
    for (const auto& [path, methods] : schemas_.document()["paths"].items())
      for (const auto& [method, node] : methods.items())
        operations_.push_back({method, path, "/paths/" + pointer_step(path) + "/" + method, &node});
  }
  OpenApiWatch(const OpenApiWatch&) = delete;
  OpenApiWatch& operator=(const OpenApiWatch&) = delete;

  [[nodiscard]] const std::vector<Operation>& operations() const { return operations_; }
  [[nodiscard]] JsonSchema& schemas() { return schemas_; }

  /// What about an answer is not as described.
  std::vector<std::string> see(quern::http::Method method, std::string_view target,
                               const quern::http::Response& answer) {
    const Operation* const asked = find(method, target);
    if (asked == nullptr) return {"there is no such operation"};
    const std::string status = std::to_string(answer.status);
    if (!asked->node->at("responses").contains(status))
      return {asked->id() + " has no answer " + status + ": " + answer.body};
    std::vector<std::string> faults;
    const std::string place = schemas_.resolved(asked->pointer + "/responses/" + status);
    check_headers(place, answer, faults);
    check_body(place, answer, faults);
    if (faults.empty()) met_.insert(asked->id() + " " + status);
    for (std::string& fault : faults) fault = asked->id() + " " + status + " " + fault;
    return faults;
  }

  /// Data of an event, or a line of an export, by the schema that stands beside that of its text.
  std::vector<std::string> see_part(const Operation& of, const char* type, const char* name,
                                    const json& part) {
    return schemas_.check(part_of(of, type, name), part);
  }

  /// "OPERATION STATUS" of all answers that there may be, and were not seen.
  [[nodiscard]] std::vector<std::string> unmet_answers() const {
    std::vector<std::string> unmet;
    for (const Operation& one : operations_)
      for (const auto& [status, ignored] : one.node->at("responses").items())
        if (status != "default" && !met_.contains(one.id() + " " + status))
          unmet.push_back(one.id() + " " + status);
    return unmet;
  }
  /// The pointers of all properties of answers that were never there.
  [[nodiscard]] std::vector<std::string> unmet_properties() const {
    std::set<std::string> all;
    for (const Operation& one : operations_) {
      for (const auto& [status, ignored] : one.node->at("responses").items()) {
        const std::string place = schemas_.resolved(one.pointer + "/responses/" + status);
        if (!schemas_.at(place).contains("content")) continue;
        for (const auto& [type, media] : schemas_.at(place)["content"].items())
          for (const auto& [name, schema] : media.items())
            all.merge(schemas_.properties(place + "/content/" + pointer_step(type) + "/" + name));
      }
    }
    std::vector<std::string> unmet;
    std::ranges::set_difference(all, schemas_.met(), std::back_inserter(unmet));
    return unmet;
  }

  /// The one that a target is for: of several that fit, that with the fewest variable parts.
  [[nodiscard]] const Operation* find(quern::http::Method method, std::string_view target) const {
    const std::string_view path = target.substr(0, std::min(target.find('?'), target.size()));
    const Operation* best = nullptr;
    for (const Operation& one : operations_) {
      if (one.how() != method || !fits(one.path, path)) continue;
      if (best == nullptr || std::ranges::count(one.path, '{') < std::ranges::count(best->path, '{'))
        best = &one;
    }
    return best;
  }
  [[nodiscard]] const Operation& operation(std::string_view id) const {
    return *std::ranges::find_if(operations_, [&](const Operation& one) { return one.id() == id; });
  }

 private:
  static bool fits(std::string_view pattern, std::string_view path) {
    while (!pattern.empty() && !path.empty()) {
      if (pattern.front() == '{') {
        pattern.remove_prefix(pattern.find('}') + 1);
        path.remove_prefix(std::min(path.find('/'), path.size()));
        continue;
      }
      if (pattern.front() != path.front()) return false;
      pattern.remove_prefix(1);
      path.remove_prefix(1);
    }
    return pattern.empty() && path.empty();
  }
  static std::string part_of(const Operation& of, const char* type, const char* name) {
    return of.pointer + "/responses/200/content/" + pointer_step(type) + "/" + name;
  }

  void check_headers(const std::string& place, const quern::http::Response& answer,
                     std::vector<std::string>& faults) {
    if (!schemas_.at(place).contains("headers")) return;
    for (const auto& [name, header] : schemas_.at(place)["headers"].items()) {
      const auto value = answer.headers.find(name);
      if (!value && header.value("required", false)) faults.push_back("has no " + name);
      if (!value) continue;
      const auto wrong =
          schemas_.check(place + "/headers/" + pointer_step(name) + "/schema", json(std::string(*value)));
      faults.insert(faults.end(), wrong.begin(), wrong.end());
    }
  }

  void check_body(const std::string& place, const quern::http::Response& answer,
                  std::vector<std::string>& faults) {
    std::string type(answer.headers.find("Content-Type").value_or(""));
    type = type.substr(0, type.find(';'));
    if (!schemas_.at(place).contains("content")) {
      if (!answer.body.empty() || !type.empty()) faults.push_back("has a body: " + answer.body);
      return;
    }
    if (!schemas_.at(place)["content"].contains(type)) return faults.push_back("is of the type " + type);
    const bool is_json = type.ends_with("json") && !type.ends_with("ndjson");
    const json body = is_json ? json::parse(answer.body) : json(answer.body);
    const auto wrong = schemas_.check(place + "/content/" + pointer_step(type) + "/schema", body);
    faults.insert(faults.end(), wrong.begin(), wrong.end());
  }

  JsonSchema schemas_;
  std::vector<Operation> operations_;
  std::set<std::string> met_;
};

}  // namespace quern_test
