#include "quern/core/error.hpp"

#include <cassert>

namespace quern::inline v1 {
namespace {

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) {
    if (!text.empty()) text += '\n';
    text += line;
  }
  return text;
}

}  // namespace

ConfigError::ConfigError(std::vector<std::string> faults)
    : Error(joined(faults)), faults_(std::move(faults)) {
  assert(!faults_.empty());
}

}  // namespace quern::inline v1
