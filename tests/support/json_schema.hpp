#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace quern_test {

/// Checks values by the JSON Schemas (2020-12) of one document. Stricter than the standard: an object with `properties` has no others unless
/// `additionalProperties` says so, and a keyword that is not known here throws, as does a $ref that leads nowhere.
class JsonSchema {
 public:
  using Json = nlohmann::json;

  explicit JsonSchema(Json document) : document_(std::move(document)) {}

  /// What is wrong with a value, by the schema at that JSON pointer. Empty: nothing.
  std::vector<std::string> check(const std::string& pointer, const Json& value);
  /// The pointers of all properties' schemas that a value without faults had.
  [[nodiscard]] const std::set<std::string>& met() const { return met_; }
  /// The pointers of all properties' schemas that a value of that schema may have, at any depth; those of schemas that it refers to, as well.
  [[nodiscard]] std::set<std::string> properties(const std::string& pointer) const;
  /// The pointer itself, or where the $ref there leads in the end.
  [[nodiscard]] std::string resolved(std::string pointer) const;
  [[nodiscard]] const Json& at(const std::string& pointer) const;
  [[nodiscard]] const Json& document() const { return document_; }

 private:
  struct Visit {
    std::vector<std::string> faults{};
    std::set<std::string> met{};
  };
  void visit(const std::string& pointer, const Json& value, const std::string& where, bool closed,
             Visit& to) const;
  void visit_object(const std::string& pointer, const Json& value, const std::string& where, bool closed,
                    Visit& to) const;
  void visit_one_of(const std::string& pointer, const Json& value, const std::string& where, Visit& to) const;
  [[nodiscard]] std::set<std::string> names(const std::string& pointer) const;
  void collect(const std::string& pointer, std::set<std::string>& seen, std::set<std::string>& to) const;

  Json document_;
  std::set<std::string> met_;
};

/// A part of a JSON pointer, with '~' and '/' escaped.
[[nodiscard]] std::string pointer_step(const std::string& name);

}  // namespace quern_test
