#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "quern/core/clock.hpp"
#include "quern/handlers/artifact_store.hpp"
#include "quern/handlers/digest/digest_job.hpp"
#include "quern/handlers/digest/git_source.hpp"
#include "quern/handlers/digest/github_client.hpp"
#include "quern/handlers/http_transport.hpp"
#include "quern/storage/any_storage.hpp"
#include "quern/work/job_context.hpp"
#include "quern/work/job_result.hpp"

namespace quern::inline v1::digest {

/// What a DigestHandler works with. What is referred to must outlive the processor that runs the handler.
struct DigestServices {
  StoragePort& records;          ///< Where digests, the end of the last one, and GitHub's answers are kept.
  FileArtifactStore& artifacts;  ///< Where the files of digests are kept.
  HttpTransport& http;
  ClockRef clock{};
  GitHubOptions github{};
  GitOptions git{};
};

/// Handles DigestJob: fetch, analyse, write, store, notify.
///
/// Data flow  plan (a step: which period) -> fetch (a step; the activity is kept as an artifact) -> analyse
/// -> digest.md,
///            digest.html and digest.json as artifacts -> completed, and in that transaction: the Digest
///            record, where the next one begins, and one NotifyJob per recipient.
/// Crashes    at any point: the next attempt goes on after the last step, writes the same files again, and
///            the notifications are added exactly once, with the completion.
/// Failures   GitHub asks to wait: snoozed, no attempt is lost. 5xx, cut answers, no connection: failed, so
///            retried. 404, 401, no repository there: discarded with what to check.
/// Threads    may run many jobs at once.
class DigestHandler {
 public:
  explicit DigestHandler(DigestServices services) : services_(std::move(services)) {}

  [[nodiscard]] JobResult operator()(const DigestJob& job, JobContext& context) const;

 private:
  [[nodiscard]] RepositoryActivity fetch(const DigestJob& job, const Period& period, TimePoint began,
                                         JobContext& context) const;
  [[nodiscard]] int refusals(JobContext& context) const;
  void note_refusals(JobContext& context, int count) const;

  DigestServices services_;
};

}  // namespace quern::inline v1::digest
