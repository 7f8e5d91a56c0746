#include "schedule/zoned_search.hpp"

#include <algorithm>

#include "schedule/cron_search.hpp"

namespace quern::inline v1::detail {
namespace {

// Vixie cron takes a longer change of the clocks as it is.
constexpr std::int64_t longest_corrected = 3 * 3600;
// Two offsets of a zone differ by at most 53 hours (tzif.cpp), so no shift is longer.
constexpr std::int64_t longest_shift = 53 * 3600;
constexpr std::int64_t no_later = no_later_time;
constexpr std::int64_t no_earlier = no_earlier_time;
// Local times lie in 1970 to 2199, so instants outside of these have none, and nothing overflows between them.
constexpr std::int64_t first_instant = -3 * 86'400;
constexpr std::int64_t last_instant = 7'258'118'400 + 3 * 86'400;

}  // namespace

std::int64_t ZonedSearch::shift_at(std::size_t span) const noexcept {
  return span == 0 ? 0 : zone_.offsets[span] - zone_.offsets[span - 1];
}

GapPolicy ZonedSearch::gap_policy(std::int64_t gap) const noexcept {
  if (policy_.gap != GapPolicy::vixie) return policy_.gap;
  return fields_.wildcard_time || gap > longest_corrected ? GapPolicy::skip : GapPolicy::next_valid;
}

OverlapPolicy ZonedSearch::overlap_policy(std::int64_t repeated) const noexcept {
  if (policy_.overlap != OverlapPolicy::vixie) return policy_.overlap;
  return fields_.wildcard_time || repeated > longest_corrected ? OverlapPolicy::both : OverlapPolicy::first;
}

ZonedSearch::Window ZonedSearch::left_out_at_begin(std::size_t span) const noexcept {
  const std::int64_t repeated = -shift_at(span);
  if (repeated <= 0 || overlap_policy(repeated) != OverlapPolicy::first) return {};
  const std::int64_t begin = zone_.begin_of(span);
  // A span before it that is shorter than the repeat has shown only the end of it.
  const std::int64_t shown = zone_.begin_of(span - 1);
  return {shown == ZoneData::always ? begin : std::max(begin, shown + repeated), begin + repeated};
}

ZonedSearch::Window ZonedSearch::left_out_at_end(std::size_t span) const noexcept {
  if (span + 1 >= zone_.count()) return {};
  const std::int64_t repeated = -shift_at(span + 1);
  if (repeated <= 0 || overlap_policy(repeated) != OverlapPolicy::second) return {};
  const std::int64_t end = zone_.end_of(span);
  const std::int64_t shown = zone_.end_of(span + 1);
  return {end - repeated, shown == ZoneData::never ? end : std::min(end, shown - repeated)};
}

std::int64_t ZonedSearch::next_made(std::size_t span, std::int64_t from) const noexcept {
  const std::int64_t gap = shift_at(span);
  const std::int64_t begin = zone_.begin_of(span);
  if (gap <= 0 || from >= begin + gap) return no_later;
  const GapPolicy policy = gap_policy(gap);
  if (policy == GapPolicy::skip) return no_later;
  const std::int64_t missing = begin + zone_.offsets[span - 1];
  if (policy == GapPolicy::next_valid)
    return from <= begin && next_local(fields_, missing) < missing + gap ? begin : no_later;
  const std::int64_t local = next_local(fields_, missing + std::max<std::int64_t>(0, from - begin));
  if (local >= missing + gap) return no_later;
  const std::int64_t late = begin + (local - missing);
  return late < zone_.end_of(span) ? late : no_later;
}

std::int64_t ZonedSearch::previous_made(std::size_t span, std::int64_t until) const noexcept {
  const std::int64_t gap = shift_at(span);
  const std::int64_t begin = zone_.begin_of(span);
  if (gap <= 0 || until < begin) return no_earlier;
  const GapPolicy policy = gap_policy(gap);
  if (policy == GapPolicy::skip) return no_earlier;
  const std::int64_t missing = begin + zone_.offsets[span - 1];
  if (policy == GapPolicy::next_valid)
    return next_local(fields_, missing) < missing + gap ? begin : no_earlier;
  const std::int64_t last = std::min({until, begin + gap - 1, zone_.end_of(span) - 1});
  const std::int64_t local = previous_local(fields_, missing + (last - begin));
  return local < missing ? no_earlier : begin + (local - missing);
}

std::optional<std::int64_t> ZonedSearch::next(std::int64_t from) const noexcept {
  from = std::max(from, first_instant);
  if (from > last_instant) return std::nullopt;
  for (std::size_t span = zone_.span_at(from);; span = zone_.span_at(from)) {
    const std::int64_t offset = zone_.offsets[span];
    const std::int64_t end = zone_.end_of(span);
    const Window early = left_out_at_begin(span);
    const Window late = left_out_at_end(span);
    std::int64_t local = next_local(fields_, from + offset);
    for (const Window& window : {early, late}) {
      if (local != no_later && local - offset >= window.begin && local - offset < window.end)
        local = next_local(fields_, window.end + offset);
    }
    const std::int64_t usual = local == no_later ? no_later : local - offset;
    const std::int64_t best = std::min(usual < end ? usual : no_later, next_made(span, from));
    if (best != no_later) return best;
    if (end > last_instant) return std::nullopt;

    from = end;
    // Until the next matching local time nothing can come, unless the clocks are set back before it.
    const bool steady = shift_at(span + 1) >= 0 &&
                        (span + 2 >= zone_.count() || zone_.end_of(span + 1) - end > 2 * longest_shift);
    if (steady) {
      if (usual == no_later) return std::nullopt;
      from = std::max(from, usual - 2 * longest_shift);
    }
  }
}

std::optional<std::int64_t> ZonedSearch::previous(std::int64_t until) const noexcept {
  until = std::min(until, last_instant);
  if (until < first_instant) return std::nullopt;
  for (std::size_t span = zone_.span_at(until);; span = zone_.span_at(until)) {
    const std::int64_t offset = zone_.offsets[span];
    const std::int64_t begin = zone_.begin_of(span);
    const Window early = left_out_at_begin(span);
    const Window late = left_out_at_end(span);
    std::int64_t local = previous_local(fields_, until + offset);
    for (const Window& window : {late, early}) {
      if (local != no_earlier && local - offset >= window.begin && local - offset < window.end)
        local = previous_local(fields_, window.begin - 1 + offset);
    }
    const std::int64_t usual = local == no_earlier ? no_earlier : local - offset;
    const std::int64_t best = std::max(usual >= begin ? usual : no_earlier, previous_made(span, until));
    if (best != no_earlier) return best;
    if (begin <= first_instant) return std::nullopt;

    until = begin - 1;
    const bool steady =
        shift_at(span) >= 0 && (span < 2 || begin - zone_.begin_of(span - 1) > 2 * longest_shift);
    if (steady) {
      if (usual == no_earlier) return std::nullopt;
      until = std::min(until, usual + 2 * longest_shift);
    }
  }
}

}  // namespace quern::inline v1::detail
