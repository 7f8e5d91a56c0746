#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/core/error.hpp"
#include "quern/core/job_id.hpp"
#include "quern/core/time.hpp"
#include "quern/http/message.hpp"
#include "quern/http/problem.hpp"

namespace quern::inline v1::http {

/// How deep a body may be, as a payload's.
inline constexpr int most_body_depth = 64;

/// The body as an object; an empty one where there is no body and `may_be_empty`. Throws Problem: 400 for what is no JSON (strict UTF-8, no
/// name twice, no number that 64 bits or a finite double can't hold), 422 for what is no object.
[[nodiscard]] nlohmann::json object_of(const Request& request, bool may_be_empty = false);

/// Of what takes no members. Throws Problem as `object_of`, and 422 for any member.
void expect_no_members(const Request& request);

/// A part of a JSON pointer (RFC 6901).
[[nodiscard]] std::string pointer_part(std::string_view name);
/// The pointer to where a check of quern's own says that the fault is: "tags[2]" is "/tags/2".
[[nodiscard]] std::string pointer_to(std::string_view field);

/// What is wrong, without the field that the text begins with.
[[nodiscard]] std::string problem_of(const InvalidArgument& error);

/// Calls `act`; what one of quern's own checks finds wrong becomes a fault of the body, at `place(field)`.
template <class Act, class Place>
auto with_faults(const Act& act, const Place& place) {
  try {
    return act();
  } catch (const InvalidArgument& error) {
    throw Problem::invalid(place(error.field()), problem_of(error));
  }
}
template <class Act>
auto with_faults(const Act& act) {
  return with_faults(act, pointer_to);
}

/// Reads the members of an object, and collects all that is wrong with them.
class Members {
 public:
  using Json = nlohmann::json;

  /// `where`: the pointer to the object. All must outlive it.
  Members(const Json& object, std::string where, std::vector<FieldFault>& faults);

  // Each does nothing where there is no such member, or where it is null.
  bool text(const char* name, std::string& to);
  bool flag(const char* name, bool& to);
  bool count(const char* name, std::uint64_t& to, std::uint64_t least, std::uint64_t most);
  bool number(const char* name, int& to, int least, int most);
  bool duration(const char* name, Duration& to);
  bool time(const char* name, TimePoint& to);
  bool time(const char* name, std::optional<TimePoint>& to);
  bool texts(const char* name, std::vector<std::string>& to);
  bool ids(const char* name, std::vector<JobId>& to);
  /// Any JSON, as text.
  bool json(const char* name, std::string& to);
  template <class E>
  bool choice(const char* name, E& to, std::span<const std::pair<std::string_view, E>> names) {
    std::string given;
    if (!text(name, given)) return false;
    std::string allowed;
    for (const auto& [known, value] : names) {
      if (known == given) {
        to = value;
        return true;
      }
      if (!allowed.empty()) allowed += ", ";
      allowed += known;
    }
    fault(name, "is none of " + allowed);
    return false;
  }
  /// The member itself; null where there is none.
  [[nodiscard]] const Json* object(const char* name);
  [[nodiscard]] const Json* array(const char* name);

  /// "in" or "at": a moment. None: neither.
  [[nodiscard]] std::optional<When> when(const char* at, const char* in);

  void required(const char* name);
  void fault(std::string_view name, std::string detail);
  [[nodiscard]] std::string place(std::string_view name) const;
  /// Members that nobody has asked for are faults.
  void end();

 private:
  [[nodiscard]] const Json* find(const char* name);

  const Json& object_;
  std::string where_;
  std::vector<FieldFault>& faults_;
  std::set<std::string, std::less<>> known_;
};

/// Throws where there are any.
void throw_if_any(std::vector<FieldFault> faults);

/// Reads the parameters of a query, and collects all that is wrong with them.
class Query {
 public:
  explicit Query(const Request& request);

  [[nodiscard]] std::string text(std::string_view name);
  /// Of all that have the name, and of their parts between commas.
  [[nodiscard]] std::vector<std::string> list(std::string_view name);
  [[nodiscard]] std::uint64_t count(std::string_view name, std::uint64_t otherwise, std::uint64_t least,
                                    std::uint64_t most);
  [[nodiscard]] std::optional<TimePoint> time(std::string_view name);
  [[nodiscard]] std::optional<Duration> duration(std::string_view name);
  [[nodiscard]] JobId id(std::string_view name);
  void fault(std::string_view name, std::string detail);
  /// Throws Problem with all faults; parameters that nobody has asked for are such.
  void end();

 private:
  std::vector<Parameter> all_;
  std::set<std::string, std::less<>> known_;
  std::vector<FieldFault> faults_;
};

}  // namespace quern::inline v1::http
