#include "bare.hpp"

#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "support.hpp"

namespace bench::pg {
namespace {

// The types' numbers in every PostgreSQL.
constexpr Oid bool_type = 16;
constexpr Oid long_type = 20;
constexpr Oid short_type = 21;
constexpr Oid int_type = 23;
constexpr Oid text_type = 25;
constexpr Oid shorts_type = 1005;
constexpr Oid ints_type = 1007;
constexpr Oid texts_type = 1009;
constexpr Oid longs_type = 1016;

void append(std::string& bytes, std::int64_t value, int size) {
  for (int shift = (size - 1) * 8; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
}

std::string head(std::size_t count, Oid element, bool nulls) {
  std::string bytes;
  append(bytes, count == 0 ? 0 : 1, 4);
  append(bytes, nulls ? 1 : 0, 4);
  append(bytes, element, 4);
  if (count == 0) return bytes;
  append(bytes, static_cast<std::int64_t>(count), 4);
  append(bytes, 1, 4);
  return bytes;
}

std::string numbers(std::span<const std::int64_t> values, Oid element, int size) {
  std::string bytes = head(values.size(), element, false);
  for (const std::int64_t value : values) {
    append(bytes, size, 4);
    append(bytes, value, size);
  }
  return bytes;
}

std::string nothing(std::size_t count, Oid element) {
  std::string bytes = head(count, element, true);
  for (std::size_t i = 0; i < count; ++i) append(bytes, -1, 4);
  return bytes;
}

std::int64_t number(const PGresult* rows, int row, int column) {
  return std::strtoll(PQgetvalue(rows, row, column), nullptr, 10);
}

}  // namespace

Values& Values::put(Oid type, std::string bytes) {
  types_.push_back(type);
  bytes_.push_back(std::move(bytes));
  nulls_.push_back(false);
  return *this;
}
Values& Values::null(Oid type) {
  put(type, "");
  nulls_.back() = true;
  return *this;
}
Values& Values::long_of(std::int64_t value) {
  std::string bytes;
  append(bytes, value, 8);
  return put(long_type, std::move(bytes));
}
Values& Values::int_of(int value) {
  std::string bytes;
  append(bytes, value, 4);
  return put(int_type, std::move(bytes));
}
Values& Values::flag(bool value) { return put(bool_type, std::string(1, value ? '\1' : '\0')); }
Values& Values::text(const std::string& value) { return put(text_type, value); }
Values& Values::longs(std::span<const std::int64_t> values) {
  return put(longs_type, numbers(values, long_type, 8));
}
Values& Values::ints(std::span<const std::int64_t> values) {
  return put(ints_type, numbers(values, int_type, 4));
}
Values& Values::shorts(std::span<const std::int64_t> values) {
  return put(shorts_type, numbers(values, short_type, 2));
}
Values& Values::texts(std::span<const std::string> values) {
  std::string bytes = head(values.size(), text_type, false);
  for (const std::string& value : values) {
    append(bytes, static_cast<std::int64_t>(value.size()), 4);
    bytes += value;
  }
  return put(texts_type, std::move(bytes));
}
Values& Values::no_texts(std::size_t count) { return put(texts_type, nothing(count, text_type)); }
Values& Values::no_longs(std::size_t count) { return put(longs_type, nothing(count, long_type)); }

BareConnection::BareConnection(const std::string& address, std::string schema)
    : connection_(PQconnectdb(address.c_str()), PQfinish), schema_(std::move(schema)) {
  if (PQstatus(connection_.get()) != CONNECTION_OK)
    throw std::runtime_error(PQerrorMessage(connection_.get()));
}

BareConnection::Answer BareConnection::run(const char* sql, const Values& values) {
  const int count = static_cast<int>(values.types_.size());
  auto known = prepared_.find(sql);
  if (known == prepared_.end()) {
    known = prepared_.emplace(sql, std::to_string(prepared_.size())).first;
    std::string text = sql;
    for (auto at = text.find("@."); at != std::string::npos; at = text.find("@."))
      text.replace(at, 1, schema_);
    const Answer made(
        PQprepare(connection_.get(), known->second.c_str(), text.c_str(), count, values.types_.data()),
        PQclear);
    if (PQresultStatus(made.get()) != PGRES_COMMAND_OK)
      throw std::runtime_error(PQerrorMessage(connection_.get()));
  }
  std::vector<const char*> pointers;
  std::vector<int> lengths;
  for (std::size_t i = 0; i < values.bytes_.size(); ++i) {
    pointers.push_back(values.nulls_[i] ? nullptr : values.bytes_[i].data());
    lengths.push_back(static_cast<int>(values.bytes_[i].size()));
  }
  const std::vector<int> binary(values.bytes_.size(), 1);
  Answer answer(PQexecPrepared(connection_.get(), known->second.c_str(), count, pointers.data(),
                               lengths.data(), binary.data(), 0),
                PQclear);
  const auto status = PQresultStatus(answer.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
    throw std::runtime_error(PQerrorMessage(connection_.get()));
  return answer;
}

Bare::Bare(const std::string& address, const std::string& schema, std::uint64_t node)
    : connection_(address, schema), node_(static_cast<std::int64_t>(node)) {
  origin_ = number(connection_.run("SELECT nextval('@.origin')").get(), 0, 0);
  const Values kind = Values().text(std::string(SendDigest::kind));
  lane_ = number(connection_.run("SELECT @.lane_of('default', $1)", kind).get(), 0, 0);
  token_ = origin_ << 36;
}

Values Bare::context() const {
  Values values;
  values.null(long_type).long_of(origin_).flag(false);
  return values;
}

void Bare::insert(std::int64_t first_id, std::span<const std::string> payloads) {
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i < payloads.size(); ++i) ids.push_back(first_id + static_cast<std::int64_t>(i));
  const std::vector<std::int64_t> lanes(ids.size(), lane_);
  const std::vector<std::int64_t> zeros(ids.size(), 0);
  Values values = context();
  values.longs(ids).ints(lanes).shorts(zeros).ints(zeros).texts(payloads);
  values.null(longs_type).longs(zeros);  // due at once
  for (int i = 0; i < 3; ++i) values.null(longs_type);
  for (int i = 0; i < 4; ++i) values.null(texts_type);
  connection_.run(
      "SELECT * FROM @.insert_plain(ROW($1, $2, $3)::@.ctx, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, "
      "$15, $16, $17)",
      values);
}

std::size_t Bare::claim(int limit) {
  const std::int64_t limits[]{limit};
  const std::int64_t attempts[]{3};
  const std::string kinds[]{std::string(SendDigest::kind)};
  Values values = context();
  values.long_of(node_).long_of(++token_).int_of(limit).texts(kinds).ints(limits).ints(attempts);
  values.null(texts_type).null(ints_type).long_of(0).flag(false).int_of(limit / 25 + 3);
  if (snapshot_.empty()) {
    values.null(text_type).null(ints_type).null(shorts_type).null(longs_type).null(longs_type);
  } else {
    values.text(snapshot_).ints(lanes_).shorts(priorities_).longs(run_ats_).longs(firsts_);
  }
  const BareConnection::Answer rows = connection_.run(
      "SELECT * FROM @.claim(ROW($1, $2, $3)::@.ctx, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, "
      "$15::text::pg_snapshot, $16, $17, $18, $19)",
      values);
  ids_.clear();
  epochs_.clear();
  for (auto* const column : {&lanes_, &priorities_, &run_ats_, &firsts_}) column->clear();
  // Columns: 0 tag, 1 id, 2 lane, 3 priority, 4 run_at, 7 epoch, 17 txt; see schema_claim.hpp.
  const int last = PQntuples(rows.get()) - 1;
  if (last < 0) throw std::runtime_error("the node is dead");
  snapshot_ = PQgetvalue(rows.get(), last, 17);
  for (int row = 0; row < last; ++row) {
    if (number(rows.get(), row, 0) == 0) {
      ids_.push_back(number(rows.get(), row, 1));
      epochs_.push_back(number(rows.get(), row, 7));
    } else {
      lanes_.push_back(number(rows.get(), row, 2));
      priorities_.push_back(number(rows.get(), row, 3));
      run_ats_.push_back(number(rows.get(), row, 4));
      firsts_.push_back(number(rows.get(), row, 1));
    }
  }
  return ids_.size();
}

void Bare::finish() {
  const std::size_t count = ids_.size();
  const std::vector<std::int64_t> nodes(count, node_);
  const std::vector<std::int64_t> claims(count, token_);
  // As the enumerations have it: completed, and the defaults of what only other outcomes use.
  const std::vector<std::int64_t> outcomes(count, static_cast<std::int64_t>(quern::Outcome::completed));
  const std::vector<std::int64_t> faults(count, static_cast<std::int64_t>(quern::Finish().fault));
  const std::vector<std::int64_t> reasons(count, static_cast<std::int64_t>(quern::Finish().dead_reason));
  const std::vector<std::string> messages(count);
  Values values = context();
  values.longs(ids_).longs(epochs_).longs(nodes).longs(claims).shorts(outcomes).no_texts(count);
  values.texts(messages).shorts(faults).shorts(reasons).no_longs(count).no_longs(count);
  values.null(text_type).null(text_type);
  connection_.run(
      "SELECT * FROM @.finish(ROW($1, $2, $3)::@.ctx, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, "
      "$15::text::jsonb, $16::text::jsonb)",
      values);
}

}  // namespace bench::pg
