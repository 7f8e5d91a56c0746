#include "quern/handlers/notify/file_channel.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "../crypto.hpp"
#include "../durable_file.hpp"
#include "notification_json.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::notify {
namespace {

namespace fs = std::filesystem;

constexpr detail::WritePoints points{"notify.file.write", "notify.file.rename", "notify.file.done"};

// The folder that "file:FOLDER" or "file://[localhost]/FOLDER" names.
fs::path folder_of(const std::string& recipient) {
  std::string_view path = recipient;
  path.remove_prefix(std::min(path.size(), path.find(':') + 1));
  if (path.starts_with("//")) {
    path.remove_prefix(2);
    if (path.starts_with("localhost/")) path.remove_prefix(9);
    if (!path.starts_with('/')) throw InvalidArgument("recipient", "a file: URL names another machine");
  }
  if (path.empty() || path.find('\0') != std::string_view::npos)
    throw InvalidArgument("recipient", "'file:' has to be followed by a folder");
  return fs::absolute(fs::path(path)).lexically_normal();
}

bool inside(const fs::path& folder, const fs::path& root) {
  std::error_code error;
  const fs::path real_root = fs::weakly_canonical(root, error);
  if (error) return false;
  const fs::path real_folder = fs::weakly_canonical(folder, error);
  if (error) return false;
  const auto [end, rest] =
      std::mismatch(real_root.begin(), real_root.end(), real_folder.begin(), real_folder.end());
  // A root that was given with a slash at its end has an empty last part.
  return end == real_root.end() || (end->empty() && std::next(end) == real_root.end());
}

}  // namespace

FileChannel::FileChannel(FileChannelOptions options) : options_(std::move(options)) {
  if (!options_.root.empty()) options_.root = fs::absolute(options_.root);
}

std::string FileChannel::file_name(const std::string& id) {
  return "notification-" + detail::sha256_hex(id).substr(0, 32) + ".json";
}

Delivery FileChannel::deliver(const std::string& recipient, const Notification& notification,
                              const Attempt&) {
  const fs::path folder = folder_of(recipient);
  if (!options_.root.empty() && !inside(folder, options_.root))
    return Delivery::permanent("the folder is outside of the one that files may be written to");

  const auto handle = detail::open_folder(folder.string(), true);
  const auto lock = detail::lock_folder(handle);
  if (!lock) return Delivery::retry("the folder was removed meanwhile");
  const std::string name = file_name(notification.id);
  if (detail::has_entry(handle, name)) {
    // Written by an attempt that may have crashed right after; its entry may not be durable yet.
    detail::sync_folder(handle);
    return Delivery::delivered("was there already: " + (folder / name).string());
  }
  const nlohmann::ordered_json content = {{"id", notification.id},           {"topic", notification.topic},
                                          {"subject", notification.subject}, {"text", notification.text},
                                          {"html", notification.html},       {"url", notification.url},
                                          {"data", data_of(notification)}};
  detail::write_file(handle, name, dump(content) + "\n", points);
  return Delivery::delivered("written to " + (folder / name).string());
}

}  // namespace quern::inline v1::notify
