#include "storage/sqlite/id_runs.hpp"

#include <algorithm>
#include <cassert>

#include "quern/core/job_id.hpp"

namespace quern::inline v1::sqlite {

void append(IdRuns& runs, std::uint64_t id) {
  assert(runs.empty() || id > runs.back().last);
  if (!runs.empty() && runs.back().last + 1 == id) {
    runs.back().last = id;
  } else {
    runs.push_back({id, id});
  }
}

IdRuns runs_of(std::vector<std::uint64_t> ids) {
  if (!std::is_sorted(ids.begin(), ids.end())) std::sort(ids.begin(), ids.end());
  IdRuns runs;
  for (const std::uint64_t id : ids) append(runs, id);
  return runs;
}

std::uint64_t count_ids(std::span<const IdRange> runs) noexcept {
  std::uint64_t sum = 0;
  for (const IdRange& run : runs) sum += run.size();
  return sum;
}

bool take_out(IdRuns& runs, std::uint64_t id) {
  const auto found =
      std::partition_point(runs.begin(), runs.end(), [&](const IdRange& r) { return r.last < id; });
  if (found == runs.end() || found->first > id) return false;
  if (found->first == found->last) {
    runs.erase(found);
  } else if (found->first == id) {
    ++found->first;
  } else if (found->last == id) {
    --found->last;
  } else {
    const IdRange tail{id + 1, found->last};
    found->last = id - 1;
    runs.insert(found + 1, tail);
  }
  return true;
}

void Packer::number(std::uint64_t value) {
  while (value >= 0x80U) {
    bytes_.push_back(static_cast<char>(static_cast<unsigned char>(value | 0x80U)));
    value >>= 7U;
  }
  bytes_.push_back(static_cast<char>(static_cast<unsigned char>(value)));
}

void Packer::text(std::string_view bytes) {
  number(bytes.size());
  bytes_.append(bytes);
}

void Packer::runs(std::span<const IdRange> runs) {
  number(runs.size());
  std::uint64_t end = 0;  // one past the range before
  for (const IdRange& run : runs) {
    number(run.first - end);
    number(run.last - run.first);
    end = run.last + 1;
  }
}

std::uint64_t Unpacker::number() noexcept {
  std::uint64_t value = 0;
  for (unsigned shift = 0; ok_ && shift < 64; shift += 7) {
    if (rest_.empty()) break;
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    if (shift == 63 && byte > 1) break;
    value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
    if (byte < 0x80U) return value;
  }
  ok_ = false;
  return 0;
}

std::string_view Unpacker::text() noexcept {
  const std::uint64_t length = number();
  if (length > rest_.size()) ok_ = false;
  if (!ok_) return {};
  const std::string_view bytes = rest_.substr(0, length);
  rest_.remove_prefix(length);
  return bytes;
}

IdRuns Unpacker::runs() {
  const std::uint64_t count = number();
  IdRuns runs;
  if (count > rest_.size())
    ok_ = false;  // a range takes two bytes; this keeps a wild count from reserving memory
  if (!ok_) return runs;
  runs.reserve(count);
  std::uint64_t end = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t gap = number();
    const std::uint64_t length = number();
    // The first range begins above 0, and two ranges that touch would be one.
    if (!ok_ || gap == 0 || gap > max_job_id - end || length > max_job_id - end - gap) {
      ok_ = false;
      return {};
    }
    runs.push_back({end + gap, end + gap + length});
    end = end + gap + length + 1;
    if (end > max_job_id && i + 1 < count) {
      ok_ = false;
      return {};
    }
  }
  return runs;
}

IdRuns unpack_ready(std::uint64_t first, std::uint64_t last, std::string_view packed) {
  if (first == 0 || last < first || last > max_job_id) return {};
  if (packed.empty()) return {{first, last}};
  Unpacker reader(packed);
  IdRuns ids = reader.runs();
  if (!reader.ok() || !reader.done() || ids.empty() || ids.front().first != first || ids.back().last != last)
    return {};
  return ids;
}

}  // namespace quern::inline v1::sqlite
