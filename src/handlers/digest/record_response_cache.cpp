#include "quern/handlers/digest/record_response_cache.hpp"

#include <nlohmann/json.hpp>

#include "../json_fields.hpp"

namespace quern::inline v1::digest {
namespace {

constexpr std::string_view collection = "quern.github.answers";
constexpr std::size_t max_url = 2048;
constexpr std::size_t max_body = std::size_t{1} << 20U;

CachedResponse decode(const Payload& value) {
  const auto json = value.as<nlohmann::json>();
  const detail::JsonFields fields(json, "answer");
  return {fields.raw_or_empty("etag"), fields.raw_or_empty("link"), fields.raw_or_empty("body"),
          fields.time_us("stored_at_us")};
}

}  // namespace

std::optional<CachedResponse> RecordResponseCache::get(const std::string& url) {
  const auto record = records_.get_record(collection, url);
  if (!record) return std::nullopt;
  try {
    return decode(*record);
  } catch (const InvalidArgument&) {
    return std::nullopt;  // written by another version: fetched anew, and replaced
  }
}

void RecordResponseCache::put(const std::string& url, const CachedResponse& response) {
  if (url.size() > max_url || response.body.size() > max_body) return;
  records_.put_record({std::string(collection), url,
                       Payload::of(nlohmann::json{{"etag", response.etag},
                                                  {"link", response.link},
                                                  {"body", response.body},
                                                  {"stored_at_us", to_us(response.stored_at)}})});
}

std::size_t RecordResponseCache::forget_before(TimePoint time) {
  std::size_t forgotten = 0;
  std::string after;
  while (true) {
    const auto records = records_.list_records(collection, after, 32);
    if (records.empty()) return forgotten;
    after = records.back().key;
    for (const Record& record : records) {
      bool old = true;
      try {
        old = decode(record.value).stored_at < time;
      } catch (const InvalidArgument&) {
        old = true;  // nobody can read it any more
      }
      if (old && records_.erase_record(collection, record.key)) ++forgotten;
    }
  }
}

}  // namespace quern::inline v1::digest
