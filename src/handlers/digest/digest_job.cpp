#include "quern/handlers/digest/digest_job.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "../json_fields.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::digest {
namespace {

std::vector<std::string> texts(const detail::JsonFields& fields, const char* key) {
  std::vector<std::string> out;
  detail::each_element(fields.array_or_empty(key), fields.path(key),
                       [&](const nlohmann::json& value, const std::string& path) {
                         if (!value.is_string()) throw InvalidArgument(path, "is no text");
                         out.push_back(value.get<std::string>());
                       });
  return out;
}

}  // namespace

void to_json(nlohmann::json& json, const DigestJob& job) {
  json = {{"source", job.source}, {"repository", job.repository}, {"recipients", job.recipients}};
  if (job.from) json["from"] = to_rfc3339(*job.from);
  if (job.to) json["to"] = to_rfc3339(*job.to);
  if (!job.filters.labels.empty()) json["labels"] = job.filters.labels;
  if (!job.filters.authors.empty()) json["authors"] = job.filters.authors;
  if (job.filters.exclude_bots) json["exclude_bots"] = true;
}

void from_json(const nlohmann::json& json, DigestJob& job) {
  constexpr std::array<std::string_view, 8> known{"source", "repository", "recipients", "from",
                                                  "to",     "labels",     "authors",    "exclude_bots"};
  const detail::JsonFields fields(json, "digest");
  for (const auto& [key, value] : json.items())
    if (std::ranges::find(known, key) == known.end())
      throw InvalidArgument("digest." + key,
                            fmt::format("is not known; there are {}", fmt::join(known, ", ")));
  job.source = fields.has("source") ? fields.line("source") : "github";
  if (job.source != "github" && job.source != "clone")
    throw InvalidArgument("digest.source",
                          fmt::format("is \"{}\"; allowed are github and clone", job.source));
  job.repository = fields.raw_or_empty("repository");
  if (job.repository.empty()) throw InvalidArgument("digest.repository", "is missing");
  job.from = fields.time_or_none("from");
  job.to = fields.time_or_none("to");
  job.filters.labels = texts(fields, "labels");
  job.filters.authors = texts(fields, "authors");
  job.filters.exclude_bots = fields.flag("exclude_bots", false);
  job.recipients = texts(fields, "recipients");
}

void to_json(nlohmann::json& json, const Digest& digest) {
  json = {{"id", digest.id},
          {"repository", digest.repository},
          {"from", to_rfc3339(digest.period.from)},
          {"to", to_rfc3339(digest.period.to)},
          {"created_at", to_rfc3339(digest.created_at)},
          {"title", digest.title},
          {"summary", digest.summary},
          {"files", digest.files},
          {"recipients", digest.recipients}};
}

void from_json(const nlohmann::json& json, Digest& digest) {
  const detail::JsonFields fields(json, "digest");
  digest.id = fields.line("id");
  digest.repository = fields.line("repository");
  digest.period = {fields.time("from"), fields.time("to")};
  digest.created_at = fields.time("created_at");
  digest.title = fields.raw_or_empty("title");
  digest.summary = fields.raw_or_empty("summary");
  digest.files = texts(fields, "files");
  digest.recipients = texts(fields, "recipients");
}

}  // namespace quern::inline v1::digest
