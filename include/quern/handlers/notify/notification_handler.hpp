#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "quern/core/clock.hpp"
#include "quern/handlers/notify/channel.hpp"
#include "quern/queue/typed_job.hpp"
#include "quern/work/handler_registry.hpp"
#include "quern/work/job_context.hpp"
#include "quern/work/job_result.hpp"

namespace quern::inline v1::notify {

/// The job that delivers one notification to one recipient.
struct NotifyJob {
  static constexpr std::string_view kind = "notification";
  static constexpr JobDefaults defaults{.queue = "notifications", .max_attempts = 20};

  std::string recipient{};  ///< "console:", "file:FOLDER", "https://..."
  Notification notification{};
  /// Files of the artifact store that give the text and the HTML; a digest is too large for a payload.
  std::string artifact_owner{};
  std::string text_artifact{};
  std::string html_artifact{};
};
void to_json(nlohmann::json& json, const NotifyJob& job);
/// Throws InvalidArgument with the path of what is wrong.
void from_json(const nlohmann::json& json, NotifyJob& job);

/// Finds a file of an artifact store; nothing when there is none.
using ArtifactReader =
    std::function<std::optional<std::string>(std::string_view owner, std::string_view name)>;

/// Handles NotifyJob: delivered completes, a channel that may work later is tried again (after the wait that
/// the receiver asked for, else by the retry policy), and what will never work is discarded with the
/// channel's words. Threads: may run many jobs at once.
class NotificationHandler {
 public:
  /// `channels` and what `artifacts` refers to are shared with the caller, and must not change any more.
  NotificationHandler(std::shared_ptr<const ChannelSet> channels, ArtifactReader artifacts, ClockRef clock);

  [[nodiscard]] JobResult operator()(const NotifyJob& job, JobContext& context) const;

  /// What to register it with: waits from 10 s to 6 h between attempts, so that the 20 of a NotifyJob last
  /// for days.
  [[nodiscard]] static HandlerOptions options();

 private:
  std::shared_ptr<const ChannelSet> channels_;
  ArtifactReader artifacts_;
  ClockRef clock_;
};

}  // namespace quern::inline v1::notify
