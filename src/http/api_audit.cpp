#include <array>

#include "http/api_context.hpp"
#include "quern/http/admin_api.hpp"

namespace quern::inline v1::http {
namespace {

Json json_of(const AuditRecord& record) {
  const AuditEntry& entry = record.entry;
  Json json;
  json["number"] = record.number;
  if (!record.fault.empty()) {
    json["fault"] = record.fault;
    return json;
  }
  json["at"] = to_rfc3339(entry.at);
  json["who"] = entry.who;
  json["via"] = entry.via;
  json["id"] = entry.id;
  json["from"] = entry.peer;
  json["action"] = entry.action;
  json["object"] = entry.object.empty() ? entry.type : entry.type + "/" + entry.object;
  if (!entry.queue.empty()) json["queue"] = entry.queue;
  if (!entry.tenant.empty()) json["tenant"] = entry.tenant;
  json["outcome"] = entry.status;
  if (!entry.reason.empty()) json["reason"] = entry.reason;
  if (!entry.request_id.empty()) json["request_id"] = entry.request_id;
  json["details"] = entry.details;
  json["hash"] = record.hash;
  return json;
}

Json json_of(const AuditCheckpoint& checkpoint) {
  Json json;
  json["number"] = checkpoint.number;
  json["hash"] = checkpoint.hash;
  return json;
}

Response page(AuditLog& audit, const Request& request) {
  require_all(request);
  Query query(request);
  constexpr std::uint64_t most = 1000;
  constexpr std::uint64_t usual = 100;
  const std::uint64_t limit = query.count("limit", usual, 1, most);
  const std::uint64_t before = query.count("before", 0, 0, std::uint64_t{1} << 62U);
  query.end();
  const auto found = audit.list(before, limit);
  Json json;
  Json& all = json["entries"] = Json::array();
  for (const AuditRecord& record : found) all.push_back(json_of(record));
  json["next"] = found.size() == limit && found.back().number > 1 ? Json(found.back().number) : Json(nullptr);
  return json_response(json);
}

Response verify(AuditLog& audit, const Request& request) {
  require_all(request);
  Query query(request);
  constexpr std::uint64_t most = std::uint64_t{1} << 62U;
  const std::uint64_t from = query.count("from", 0, 0, most);
  const std::uint64_t to = query.count("to", 0, 0, most);
  const AuditCheckpoint known{.number = query.count("known_number", 0, 0, most),
                              .hash = query.text("known_hash")};
  if ((known.number == 0) != known.hash.empty()) query.fault("known_hash", "belongs to known_number");
  query.end();
  const std::array<AuditCheckpoint, 1> checkpoints{known};
  const auto fault = audit.verify(from, to, std::span(checkpoints).first(known.number == 0 ? 0 : 1));
  Json json;
  json["checkpoint"] = json_of(audit.checkpoint());
  json["fault"] = nullptr;
  if (fault) {
    json["fault"] = Json::object();
    json["fault"]["number"] = fault->number;
    json["fault"]["what"] = fault->what;
  }
  return json_response(json);
}

Response export_lines(AuditLog& audit, const Request& request) {
  require_all(request);
  Query query(request);
  const std::uint64_t from = query.count("from", 0, 0, std::uint64_t{1} << 62U);
  query.end();
  std::string lines;
  audit.export_lines(
      [&](std::string_view line) {
        lines += line;
        lines += '\n';
      },
      from);
  Response response = text_response(std::move(lines), "application/x-ndjson");
  response.headers.set("Content-Disposition", "attachment; filename=\"audit.ndjson\"");
  return response;
}

}  // namespace

void mount_audit(Router& router, AuditLog& audit) {
  router.add({Method::get, "/api/audit", "audit.read", "The audit log, newest entries first.",
              [&audit](const Request& request) { return page(audit, request); }});
  router.add({Method::get, "/api/audit/verify", "audit.read", "Whether all entries are as they were written.",
              [&audit](const Request& request) { return verify(audit, request); }});
  router.add({Method::get, "/api/audit/export", "audit.read",
              "The entries as lines, enough to verify them elsewhere.",
              [&audit](const Request& request) { return export_lines(audit, request); }});
}

}  // namespace quern::inline v1::http
