#include "http/idempotency.hpp"

#include <array>
#include <utility>

#include "http/crypto.hpp"
#include "quern/core/limits.hpp"

namespace quern::inline v1::http {
namespace {

constexpr std::string_view collection = "quern.idempotency";
constexpr std::size_t longest_key = 255;

}  // namespace

Idempotency::Idempotency(const ApiContext& api, const Request& request) : api_(api) {
  const auto given = request.headers.find("Idempotency-Key");
  if (!given) return;
  if (request.headers.count("Idempotency-Key") > 1)
    throw Problem::invalid("header:Idempotency-Key", "stands twice");
  if (given->empty() || given->size() > longest_key || !is_utf8(*given))
    throw Problem::invalid("header:Idempotency-Key", "must be a text of 1 to 255 bytes");
  // Whose it is belongs to the key; and a hash, so that nobody's text becomes the key of a record.
  const std::string whose = request.caller ? request.caller->via + '\0' + request.caller->id : std::string();
  key_ = detail::to_hex(detail::sha256(whose + '\0' + std::string(*given)));
  fingerprint_ = detail::to_hex(
      detail::sha256(std::string(to_text(request.method)) + ' ' + request.target + '\0' + request.body));
}

std::optional<Response> Idempotency::kept() {
  seen_ = api_.storage().get_record(collection, key_);
  if (!seen_) return std::nullopt;
  const auto answer = seen_->as<KeptAnswer>();
  if (api_.now() - answer.at >= api_.options.idempotency) return std::nullopt;
  if (answer.fingerprint != fingerprint_) throw Problem{.status = 422, .name = "key-reused"};
  Response response = text_response(answer.body, "application/json");
  response.status = answer.status;
  response.headers.set("Idempotency-Replayed", "true");
  return response;
}

RecordChange Idempotency::keep(const Response& response) const {
  const KeptAnswer answer{
      .fingerprint = fingerprint_, .at = api_.now(), .status = response.status, .body = response.body};
  return {.collection = std::string(collection), .key = key_, .seen = seen_, .value = Payload::of(answer)};
}

void Idempotency::erase_old() const {
  // Some of those that follow: keys are hashes, so that is a part of all drawn by lot.
  constexpr std::size_t looked_at = 8;
  for (const Record& record : api_.storage().list_records(collection, key_, looked_at)) {
    const auto answer = record.value.as<KeptAnswer>();
    if (api_.now() - answer.at < api_.options.idempotency) continue;
    const std::array<RecordChange, 1> gone{
        RecordChange{.collection = record.collection, .key = record.key, .seen = record.value}};
    (void)api_.storage().insert_if({}, gone);  // not done: somebody has used it anew
  }
}

}  // namespace quern::inline v1::http
