#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace quern::inline v1::detail {

struct ProcessRequest {
  std::vector<std::string> arguments;    ///< The first one names the program, looked up in PATH.
  std::vector<std::string> environment;  ///< All of it, as NAME=value.
  std::stop_token stop;                  ///< Kills the program and whatever it started.
  std::size_t max_output_bytes = 0;      ///< The program is killed when it writes more.
  /// Given what the program writes, piece by piece. False: that is enough, the program is killed.
  std::function<bool(std::string_view piece)> on_output;
};

enum class ProcessEnd : std::uint8_t {
  exited,
  killed_by_signal,
  not_found,
  not_started,
  stopped,
  too_much_output,
  reader_done
};

struct ProcessResult {
  ProcessEnd end = ProcessEnd::exited;
  int exit_code = 0;       ///< Of a program that exited; an errno for one that was not started.
  std::string error_text;  ///< The first 4 KiB of what it wrote to standard error.
};

/// Runs a program without a shell and waits for its end. It reads nothing, inherits no other open file, and
/// is gone, with all of its process group, when this returns. Exceptions of `on_output` pass through, after
/// that. Reads no clock: a time limit is the caller's, through the stop token.
[[nodiscard]] ProcessResult run_process(const ProcessRequest& request);

}  // namespace quern::inline v1::detail
