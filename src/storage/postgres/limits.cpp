#include <charconv>

#include "storage/postgres/impl.hpp"
#include "storage/rate_state.hpp"

namespace quern::inline v1 {
namespace {

const postgres::Statement put_rule{
    "SELECT @.set_limit(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6, $7, $8, $9, $10, $11)"};
const postgres::Statement erase_rule{
    "SELECT @.erase_limit(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4)"};
const postgres::Statement all_rules{"SELECT * FROM @.limits($1)"};

detail::RateState state_of(std::string_view text) {
  detail::RateState state;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    at = std::from_chars(at, end, state.emplace_back()).ptr;
    if (at < end) ++at;  // the comma
  }
  return state;
}

}  // namespace

void PostgresStorage::Impl::set_limit(const LimitRule& rule) {
  Params params = context(false);
  params.add(rule.name).add(rule.queue).add(rule.kind).add(rule.max_running);
  params.add(rule.rate.count).add(rule.rate.per.count()).add(static_cast<int>(rule.rate.algorithm));
  params.add(rule.rate.burst);
  call(put_rule, params, Again::safe);  // once more changes nothing
  Change change(*this);
  change.effects().ready = true;
  change.tell();
}

bool PostgresStorage::Impl::erase_limit(std::string_view name) {
  Params params = context(false);
  params.add(name);
  const bool erased = call(erase_rule, params, Again::never).rows.truth(0, 0);
  Change change(*this);
  change.effects().ready = erased;
  change.tell();
  return erased;
}

std::vector<LimitStatus> PostgresStorage::Impl::limits() {
  Params params;
  params.add(options_.clock ? std::optional(to_us(options_.clock->now())) : std::nullopt);
  const Result rows = read(all_rules, params);
  std::vector<LimitStatus> list;
  for (int row = 0; row < rows.rows(); ++row) {
    LimitRule rule;
    rule.name = rows.string(row, 0);
    rule.queue = rows.string(row, 1);
    rule.kind = rows.string(row, 2);
    rule.max_running = rows.id(row, 3);
    rule.rate = {.count = rows.number(row, 4),
                 .per = Duration(rows.number(row, 5)),
                 .algorithm = static_cast<RateAlgorithm>(rows.small(row, 6)),
                 .burst = rows.number(row, 7)};
    list.push_back(
        detail::status_of(rule, rows.id(row, 9), state_of(rows.text(row, 8)), rows.number(row, 10)));
  }
  return list;
}

}  // namespace quern::inline v1
