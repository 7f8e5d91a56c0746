#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace quern_test {

/// A port of the loopback that nobody listens on.
int free_port();

/// Starts a program as somebody who is not root, since servers refuse to be root; its output goes to the log.
/// It ends with this process.
pid_t spawn(const std::vector<std::string>& command, const std::string& log);

/// Makes a file or folder belong to that user.
void give_away(const std::filesystem::path& path);

}  // namespace quern_test
