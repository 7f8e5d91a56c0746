#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "quern/core/payload.hpp"

// Structs that the tests of QUERN_FIELDS share. Some also have nlohmann's macro, under a name of their own,
// to be compared with.
namespace fields_test {

enum class Period : std::int16_t { daily = 1, weekly = 2, never = -5 };

struct Recipient {
  std::string address;
  std::optional<std::string> name;
  double share = 0.5;
  friend bool operator==(const Recipient&, const Recipient&) = default;
};
QUERN_FIELDS(Recipient, address, name, share)

struct Digest {
  std::string repository;
  std::int64_t user_id = 0;
  std::vector<Recipient> recipients;
  std::map<std::string, std::vector<int>> labels;
  Period period = Period::daily;
  std::optional<Recipient> owner;
  std::chrono::milliseconds wait{0};
  std::chrono::sys_time<std::chrono::microseconds> since{};
  std::vector<bool> flags;
  std::array<std::uint8_t, 3> color{};
  float ratio = 0;
  bool urgent = false;
  friend bool operator==(const Digest&, const Digest&) = default;
};
QUERN_FIELDS(Digest, repository, user_id, recipients, labels, period, owner, wait, since, flags, color, ratio,
             urgent)

[[nodiscard]] inline Digest digest() {
  return {.repository = "octo/é \"quoted\"\n\x01\x7F",
          .user_id = INT64_MIN,
          .recipients = {{"ada@example.org", "Ada", 0.1}, {"", {}, -1e300}},
          .labels = {{"", {}}, {"bug", {1, -2, 3}}, {"ü", {0}}},
          .period = Period::never,
          .owner = Recipient{"x", {}, 1},
          .wait = std::chrono::milliseconds(-1500),
          .since = std::chrono::sys_time<std::chrono::microseconds>(
              std::chrono::microseconds(1'769'817'600'000'000)),
          .flags = {true, false, true},
          .color = {0, 128, 255},
          .ratio = 0.1F,
          .urgent = true};
}

/// What went through packed bytes.
template <class T>
[[nodiscard]] T repacked(const T& value) {
  return quern::Payload::of(value).template as<T>();
}
/// What went through JSON text.
template <class T>
[[nodiscard]] T rewritten(const T& value) {
  return quern::Payload::json(quern::Payload::of(value).text()).template as<T>();
}

}  // namespace fields_test
