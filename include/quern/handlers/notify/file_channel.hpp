#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "quern/handlers/notify/channel.hpp"

namespace quern::inline v1::notify {

struct FileChannelOptions {
  /// Folders outside this one are refused, links resolved; empty: any folder. Set it where recipients are
  /// named by people who may not write everywhere.
  std::filesystem::path root{};
};

/// Writes each notification to a file of its own, exactly once by its id: a file that is there already has
/// been delivered. Recipient: "file:FOLDER" or "file:///FOLDER", taken as it is; the folder is made where it
/// is missing. A file is there as a whole or not at all, and durable once it is delivered. It holds JSON:
/// {id, topic, subject, text, html, url, data}.
class FileChannel {
 public:
  explicit FileChannel(FileChannelOptions options = {});

  [[nodiscard]] std::vector<std::string> schemes() const { return {"file"}; }
  [[nodiscard]] Delivery deliver(const std::string& recipient, const Notification& notification,
                                 const Attempt& attempt);

  /// The name of the file of a notification: "notification-" and 32 digits that follow from the id.
  [[nodiscard]] static std::string file_name(const std::string& id);

 private:
  FileChannelOptions options_;
};

static_assert(Channel<FileChannel>);

}  // namespace quern::inline v1::notify
