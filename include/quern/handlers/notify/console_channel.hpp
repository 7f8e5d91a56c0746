#pragma once

#include <cstdio>
#include <functional>
#include <iosfwd>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "quern/handlers/notify/channel.hpp"

namespace quern::inline v1::notify {

/// Writes notifications to a terminal or a log, each as one block. Recipient: "console:".
/// What is on a terminal can't be asked for: after a crash at the wrong moment a block may come twice.
class ConsoleChannel {
 public:
  /// The stream has to outlive the channel.
  explicit ConsoleChannel(std::FILE* out = stdout);
  explicit ConsoleChannel(std::ostream& out);

  [[nodiscard]] std::vector<std::string> schemes() const { return {"console"}; }
  [[nodiscard]] Delivery deliver(const std::string& recipient, const Notification& notification,
                                 const Attempt& attempt);

 private:
  std::function<bool(std::string_view block)> write_;
  std::unique_ptr<std::mutex> mutex_;
};

static_assert(Channel<ConsoleChannel>);

}  // namespace quern::inline v1::notify
