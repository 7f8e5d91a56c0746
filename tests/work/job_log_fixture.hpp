#pragma once

#include <string>
#include <vector>

#include "quern/queue/job_log.hpp"

namespace quern_test {

inline std::vector<std::string> messages(const quern::JobLog& log) {
  std::vector<std::string> texts;
  for (const auto& line : log.lines) texts.push_back(line.message);
  return texts;
}

}  // namespace quern_test
