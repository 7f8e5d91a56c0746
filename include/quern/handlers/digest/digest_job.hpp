#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/time.hpp"
#include "quern/handlers/digest/report.hpp"
#include "quern/queue/typed_job.hpp"

namespace quern::inline v1::digest {

/// The job that makes a digest of a repository and has it delivered. As JSON:
///
///     {"source": "github", "repository": "owner/name",          or {"source": "clone", "repository":
///     "/path"}
///      "from": "2026-01-01T00:00:00Z", "to": "2026-02-01",      both optional
///      "labels": [], "authors": [], "exclude_bots": false,      optional
///      "recipients": ["file:/var/spool/digests"]}               optional
struct DigestJob {
  static constexpr std::string_view kind = "digest";
  static constexpr JobDefaults defaults{
      .queue = "digests", .max_attempts = 8, .timeout = std::chrono::hours(1)};

  std::string source = "github";  ///< "github" or "clone".
  std::string repository{};       ///< "owner/name", or the path of a clone.
  std::optional<TimePoint>
      from{};  ///< None: where the last digest of this repository ended; 30 days where there is none.
  std::optional<TimePoint> to{};  ///< None: when the job first runs.
  Filters filters{};
  std::vector<std::string> recipients{};  ///< Who is told; each exactly once per digest.
};

void to_json(nlohmann::json& json, const DigestJob& job);
/// Throws InvalidArgument with the path of what is wrong; a name that it doesn't know is wrong.
void from_json(const nlohmann::json& json, DigestJob& job);

/// What is kept of a digest beside its job: the record (collection "quern.digests", key = `id`).
struct Digest {
  std::string id{};          ///< The id of its job.
  std::string repository{};  ///< As the source names it.
  Period period{};
  TimePoint created_at{};
  std::string title{};
  std::string summary{};
  std::vector<std::string> files{};  ///< Names in the artifact store, whose owner is `id`.
  std::vector<std::string> recipients{};
};
void to_json(nlohmann::json& json, const Digest& digest);
void from_json(const nlohmann::json& json, Digest& digest);

inline constexpr std::string_view digests_collection = "quern.digests";
/// The key is "source:repository"; the value {"digest": id, "to": end of its period}.
inline constexpr std::string_view latest_collection = "quern.digests.latest";

}  // namespace quern::inline v1::digest
