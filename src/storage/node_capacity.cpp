#include "storage/node_capacity.hpp"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace quern::inline v1::detail {
namespace {

using Json = nlohmann::json;

Json pack(const std::vector<SlotCount>& counts) {
  Json list = Json::array();
  for (const SlotCount& count : counts) list.push_back({count.name, count.slots});
  return list;
}

std::vector<SlotCount> unpack(const Json& list) {
  std::vector<SlotCount> counts;
  for (const Json& count : list)
    counts.push_back({count.at(0).get<std::string>(), count.at(1).get<std::size_t>()});
  return counts;
}

}  // namespace

std::string pack_capacity(const NodeInfo& info) {
  const Json queues = info.queues ? pack(*info.queues) : Json();
  // Names that are not UTF-8 can't be a job's, so what stands for them matters to nobody.
  return Json{{"slots", info.slots}, {"kinds", pack(info.kinds)}, {"queues", queues}}.dump(
      -1, ' ', false, Json::error_handler_t::replace);
}

void unpack_capacity(const std::string& text, NodeInfo& info) {
  try {
    const Json packed = Json::parse(text);
    const auto slots = packed.at("slots").get<std::size_t>();
    auto kinds = unpack(packed.at("kinds"));
    const Json& queues = packed.at("queues");
    if (!queues.is_null()) info.queues = unpack(queues);
    info.slots = slots;
    info.kinds = std::move(kinds);
  } catch (const Json::exception&) {
    // Written by a later version, or damaged: it is for people, and the lease does not hang on it.
    return;
  }
}

}  // namespace quern::inline v1::detail
