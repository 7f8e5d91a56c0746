#include "storage/sqlite/claim_book.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <limits>

#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {
namespace {

constexpr std::uint64_t format = 1;
constexpr std::uint64_t keyed_bit = 1;
constexpr std::uint64_t changed_bit = 2;
constexpr std::uint64_t most_jobs = 1U << 28U;  // of one batch; more is a sign of damage

template <class T>
T limited(Unpacker& reader) {
  const std::uint64_t value = reader.number();
  if (value > static_cast<std::uint64_t>(std::numeric_limits<T>::max())) reader.refuse();
  return static_cast<T>(value);
}

}  // namespace

PackedClaim pack_claim(const std::vector<ClaimGroup>& groups) {
  Packer packer;
  std::uint64_t jobs = 0;
  packer.number(format);
  packer.number(groups.size());
  for (const ClaimGroup& group : groups) {
    packer.number(static_cast<std::uint64_t>(group.lane));
    packer.number(static_cast<std::uint64_t>(group.attempt));
    packer.number(group.epoch);
    packer.number(static_cast<std::uint64_t>(group.max_attempts));
    packer.number((group.keyed ? keyed_bit : 0) | (group.changed ? changed_bit : 0));
    packer.runs(group.ids);
    jobs += count_ids(group.ids);
  }
  return {std::string((jobs + 7) / 8, '\0'), packer.bytes()};
}

std::optional<ClaimRow> ClaimRow::unpack(std::int64_t id, NodeId node, TimePoint claimed_at,
                                         std::string_view settled, std::string_view entries) {
  ClaimRow row;
  row.id_ = id;
  row.node_ = node;
  row.claimed_at_ = claimed_at;
  Unpacker reader(entries);
  if (reader.number() != format) return std::nullopt;
  const std::uint64_t count = reader.number();
  if (count > entries.size()) return std::nullopt;
  row.groups_.reserve(count);
  std::uint64_t jobs = 0;
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
    ClaimGroup group;
    group.lane = limited<LaneId>(reader);
    group.attempt = limited<int>(reader);
    group.epoch = limited<Epoch>(reader);
    group.max_attempts = limited<int>(reader);
    const std::uint64_t bits = reader.number();
    group.keyed = (bits & keyed_bit) != 0;
    group.changed = (bits & changed_bit) != 0;
    group.ids = reader.runs();
    group.starts.reserve(group.ids.size());
    for (const IdRange& run : group.ids) {
      group.starts.push_back(static_cast<std::size_t>(jobs));
      jobs += std::min(run.size(), most_jobs);
      if (jobs > most_jobs) return std::nullopt;
    }
    row.groups_.push_back(std::move(group));
  }
  if (!reader.ok() || !reader.done() || settled.size() != (jobs + 7) / 8) return std::nullopt;
  row.settled_ = settled;
  std::size_t bits = 0;
  for (const char byte : settled)
    bits += static_cast<std::size_t>(std::popcount(static_cast<unsigned char>(byte)));
  if (bits > jobs) return std::nullopt;
  row.left_ = static_cast<std::size_t>(jobs) - bits;
  return row;
}

std::optional<ClaimRow::Spot> ClaimRow::find(JobId id) const {
  for (const ClaimGroup& group : groups_) {
    const auto run = std::partition_point(group.ids.begin(), group.ids.end(),
                                          [&](const IdRange& range) { return range.last < id.value; });
    if (run == group.ids.end() || run->first > id.value) continue;
    const auto index = static_cast<std::size_t>(run - group.ids.begin());
    const std::size_t number = group.starts[index] + static_cast<std::size_t>(id.value - run->first);
    if (!is_settled(number)) return Spot{&group, number};
  }
  return std::nullopt;
}

void ClaimRow::settle(const Spot& spot) {
  assert(!is_settled(spot.number) && left_ > 0);
  char& byte = settled_[spot.number / 8];
  byte = static_cast<char>(static_cast<unsigned char>(byte) | (1U << (spot.number % 8)));
  --left_;
  dirty_ = true;
}

ClaimRow* ClaimBook::keep(std::int64_t id, NodeId node, TimePoint claimed_at, std::string_view settled,
                          std::string_view entries) {
  auto unpacked = ClaimRow::unpack(id, node, claimed_at, settled, entries);
  if (!unpacked)
    throw StorageError(
        fmt::format("{}: row {} of quern_claims cannot be read; the database is damaged", db_.file(), id),
        false);
  auto& place = rows_[id];
  place = std::move(unpacked);
  return &*place;
}

ClaimRow* ClaimBook::row(std::int64_t id) {
  if (const auto known = rows_.find(id); known != rows_.end())
    return known->second ? &*known->second : nullptr;
  Query question = db_.query(sql::claim_row);
  if (!question.bind(id).step()) {
    rows_.emplace(id, std::nullopt);
    return nullptr;
  }
  return keep(id, NodeId{question.id(0).value}, question.time(1), question.string(2), question.bytes(3));
}

std::vector<ClaimRow*> ClaimBook::all() {
  if (!complete_) {
    Query question = db_.query(sql::all_claims);
    while (question.step()) {
      const std::int64_t id = question.number(0);
      if (rows_.contains(id)) continue;  // perhaps with jobs settled in this transaction
      keep(id, NodeId{question.id(1).value}, question.time(2), question.string(3), question.bytes(4));
    }
    complete_ = true;
  }
  std::vector<ClaimRow*> all;
  for (auto& [id, row] : rows_) {
    if (row) all.push_back(&*row);
  }
  return all;
}

void ClaimBook::flush() {
  for (auto& [id, row] : rows_) {
    if (!row || !row->dirty_) continue;
    if (row->left() == 0) {
      db_.run(sql::delete_claim, id);
    } else {
      db_.run(sql::set_settled, id, Blob{row->settled_});
    }
  }
  // The number of a row that is gone may come again.
  rows_.clear();
  complete_ = false;
}

}  // namespace quern::inline v1::sqlite
