#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace quern_test {

using namespace std::chrono_literals;

struct Mail {
  static constexpr std::string_view kind = "mail";
  int to = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Mail, to)

struct Batch {
  static constexpr std::string_view kind = "batch";
  std::vector<int> readers;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Batch, readers)

[[nodiscard]] inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace quern_test
