#include "quern/handlers/notify/console_channel.hpp"

#include <fmt/format.h>

#include <ostream>

#include "quern/handlers/detail/text.hpp"

namespace quern::inline v1::notify {

ConsoleChannel::ConsoleChannel(std::FILE* out)
    : write_([out](std::string_view block) {
        return std::fwrite(block.data(), 1, block.size(), out) == block.size() && std::fflush(out) == 0;
      }),
      mutex_(std::make_unique<std::mutex>()) {}

ConsoleChannel::ConsoleChannel(std::ostream& out)
    : write_([&out](std::string_view block) { return static_cast<bool>((out << block).flush()); }),
      mutex_(std::make_unique<std::mutex>()) {}

Delivery ConsoleChannel::deliver(const std::string&, const Notification& notification, const Attempt&) {
  // Cleaned, so that no text from a repository moves the cursor or recolours the terminal.
  std::string block = fmt::format("\n== {} ==\n", detail::clean_line(notification.subject));
  if (!notification.text.empty()) block += detail::clean_text(notification.text, 1u << 20) + "\n";
  if (!notification.url.empty()) block += detail::clean_line(notification.url, 2048) + "\n";
  const std::lock_guard lock(*mutex_);
  if (!write_(block)) return Delivery::retry("the console can't be written to");
  return Delivery::delivered("written to the console");
}

}  // namespace quern::inline v1::notify
