#include <algorithm>
#include <array>

#include "http/api_context.hpp"
#include "quern/http/digest_api.hpp"

namespace quern::inline v1::http {
namespace {

// As quern::handlers names it, which is a component that this one does not need.
constexpr std::string_view collection = "quern.digests";

/// Of the record's members those that are known, as they stand there.
Json json_of(const Record& record) {
  Json json;
  json["id"] = record.key;
  const Json kept = Json::parse(record.value.text());
  for (const char* const name :
       {"repository", "from", "to", "created_at", "title", "summary", "files", "recipients"})
    if (kept.contains(name)) json[name] = kept[name];
  return json;
}

bool reaches(StoragePort& storage, const Request& request, std::string_view id) {
  const Scope& scope = scope_of(request);
  if (scope.unlimited()) return true;
  const auto job_id = parse_job_id(id);
  if (!job_id) return false;
  const auto job = std::move(storage.find(std::span(&*job_id, 1)).front());
  return job && scope.reaches(job->tenant, job->queue);
}

/// Throws Problem (404).
Json digest_of(StoragePort& storage, const Request& request) {
  Query(request).end();
  const std::string id(request.part("id"));
  auto value = storage.get_record(collection, id);
  if (!value || !reaches(storage, request, id)) throw Problem::not_found("there is no such digest");
  return json_of({std::string(collection), id, std::move(*value)});
}

Response page(StoragePort& storage, const Request& request) {
  Query query(request);
  constexpr std::uint64_t most = 500;
  constexpr std::uint64_t usual = 50;
  const std::uint64_t limit = query.count("limit", usual, 1, most);
  query.end();
  // Keys are not in the order of time, so all are read; there is one for each digest that was made.
  constexpr std::size_t at_once = 1000;
  std::vector<Json> all;
  std::string after;
  for (;;) {
    const auto records = storage.list_records(collection, after, at_once);
    for (const Record& record : records) all.push_back(json_of(record));
    if (records.size() < at_once) break;
    after = records.back().key;
  }
  std::ranges::sort(all, [](const Json& a, const Json& b) {
    const auto time = [](const Json& one) { return one.value("created_at", std::string()); };
    return time(b) < time(a);
  });
  Json json;
  Json& shown = json["digests"] = Json::array();
  for (Json& one : all) {
    if (shown.size() == limit) break;
    if (reaches(storage, request, one["id"].get<std::string>())) shown.push_back(std::move(one));
  }
  return json_response(json);
}

std::string type_of(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> types{
      {{".json", "application/json"},
       {".html", "text/html; charset=utf-8"},
       {".md", "text/markdown; charset=utf-8"}}};
  for (const auto& [end, type] : types)
    if (name.ends_with(end)) return std::string(type);
  return "application/octet-stream";
}

Response download(StoragePort& storage, const DigestFile& file, const Request& request) {
  const Json digest = digest_of(storage, request);
  const std::string name(request.part("name"));
  const Json files = digest.value("files", Json::array());
  const bool is_known = std::ranges::find(files, Json(name)) != files.end();
  auto bytes = is_known ? file(digest["id"].get<std::string>(), name) : std::nullopt;
  if (!bytes) throw Problem::not_found("there is no such file");
  Response response = text_response(std::move(*bytes), type_of(name));
  // What a repository's text has become is never a page of this server.
  response.headers.set("Content-Disposition", "attachment; filename*=UTF-8''" + encode(name));
  response.headers.set("X-Content-Type-Options", "nosniff");
  response.headers.set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'");
  return response;
}

}  // namespace

void mount_digests(Router& router, StoragePort& storage, DigestFile file) {
  router.add({Method::get, "/api/digests", "digests.read", "The digests that were made, the latest first.",
              [&storage](const Request& request) { return page(storage, request); }});
  router.add({Method::get, "/api/digests/:id", "digests.read", "A digest.",
              [&storage](const Request& request) { return json_response(digest_of(storage, request)); }});
  router.add({Method::get, "/api/digests/:id/files/:name", "digests.read",
              "A file of a digest, to be downloaded.",
              [&storage, file = std::move(file)](const Request& request) {
                return download(storage, file, request);
              }});
}

}  // namespace quern::inline v1::http
