#include "storage/postgres/schema.hpp"

#include <fmt/format.h>

#include <array>
#include <tuple>
#include <utility>

#include "quern/core/limits.hpp"
#include "quern/storage/limit_rules.hpp"
#include "storage/postgres/schema_claim.hpp"
#include "storage/postgres/schema_commands.hpp"
#include "storage/postgres/schema_enqueue.hpp"
#include "storage/postgres/schema_finish.hpp"
#include "storage/postgres/schema_images.hpp"
#include "storage/postgres/schema_insert.hpp"
#include "storage/postgres/schema_limits.hpp"
#include "storage/postgres/schema_moves.hpp"
#include "storage/postgres/schema_prune.hpp"
#include "storage/postgres/schema_read.hpp"
#include "storage/postgres/schema_roles.hpp"
#include "storage/postgres/schema_tables.hpp"
#include "storage/postgres/schema_upkeep.hpp"
#include "storage/postgres/schema_within.hpp"

namespace quern::inline v1::postgres {
namespace {

/// A number for advisory locks, of the schema's name (FNV-1a).
std::int32_t lock_number(std::string_view schema) {
  std::uint32_t hash = 2'166'136'261U;
  for (const char c : schema) hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619U;
  return static_cast<std::int32_t>(hash);
}

}  // namespace

void check_schema_name(std::string_view name) {
  constexpr std::size_t longest = 48;
  bool good = !name.empty() && name.size() <= longest && (name[0] < '0' || name[0] > '9');
  for (const char c : name) good = good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_');
  if (!good)
    throw InvalidArgument("schema",
                          fmt::format("is \"{}\", allowed are 1 to {} of a-z, 0-9 and _, not a digit first",
                                      clean_message(name, 64), longest));
}

std::string fill_in(std::string_view text, const std::string& schema) {
  // The longer one of two with the same beginning comes first.
  const std::array<std::pair<std::string_view, std::string>, 8> fields{{
      {"@.", '"' + schema + "\"."},
      {"@max_snoozes", std::to_string(max_snoozes)},
      {"@max_errors", std::to_string(max_attempt_errors)},
      {"@max_limit_rules", std::to_string(max_limit_rules)},
      {"@channel", schema},
      {"@name", schema},
      {"@lock", std::to_string(lock_number(schema))},
      // Plans that are made once and use indexes, however small the tables were at that time.
      {"@set",
       "SET enable_seqscan = off SET enable_bitmapscan = off SET enable_mergejoin = off SET jit = off "
       "SET plan_cache_mode = force_generic_plan"},
  }};
  std::string filled;
  filled.reserve(text.size() + 64);
  for (std::size_t at = 0; at < text.size();) {
    const auto next = std::min(text.find('@', at), text.size());
    filled += text.substr(at, next - at);
    at = next;
    if (at == text.size()) break;
    bool known = false;
    for (const auto& [field, value] : fields) {
      if (!text.substr(at).starts_with(field)) continue;
      filled += value;
      at += field.size();
      known = true;
      break;
    }
    if (!known) filled += text[at++];  // "@>" is an operator
  }
  return filled;
}

std::span<const Migration> migrations() {
  static const std::array all{
      Migration{
          .version = 1,
          .oldest_program = 1,
          .parts = {schema_tables, schema_moves, schema_insert, schema_enqueue, schema_within, schema_limits,
                    schema_claim, schema_claim_lines, schema_claim_rest, schema_claim_many,
                    schema_claim_lines, schema_claim_end, schema_finish, schema_commands, schema_upkeep,
                    schema_prune, schema_images, schema_read, schema_roles}},
  };
  static_assert(std::tuple_size_v<decltype(all)> == schema_version);
  return all;
}

namespace {

/// What a step does, within a transaction that holds the lock.
std::string step_sql(const Migration& step, const std::string& schema) {
  std::string sql;
  if (step.version == 1) {
    sql = "CREATE SCHEMA IF NOT EXISTS @name;\n";
  } else {
    // The text may come from a file, and late.
    sql = fmt::format(
        "DO $$ BEGIN IF (SELECT value FROM @.meta WHERE name = 'schema') <> {0} THEN\n"
        "  RAISE EXCEPTION 'this is the step from version {0} of the schema';\nEND IF; END $$;\n",
        step.version - 1);
  }
  for (const char* const part : step.parts) sql += part;
  if (step.version == 1) {
    sql += fmt::format("INSERT INTO @.meta VALUES ('schema', 1), ('oldest_program', {});\n",
                       step.oldest_program);
  } else {
    sql += fmt::format(
        "UPDATE @.meta SET value = {} WHERE name = 'schema';\n"
        "UPDATE @.meta SET value = {} WHERE name = 'oldest_program';\n",
        step.version, step.oldest_program);
  }
  return fill_in(sql, schema);
}

std::string take_lock(const std::string& schema) {
  return fill_in("SELECT pg_advisory_xact_lock(1903522413, @lock);\n", schema);
}

}  // namespace

std::string migration_script(const std::string& schema, int from, std::span<const Migration> steps) {
  check_schema_name(schema);
  const int newest = steps.back().version;
  if (from < 0 || from > newest)
    throw InvalidArgument("from", fmt::format("is {}, known are 0 to {}", from, newest));
  std::string sql;
  for (const Migration& step : steps) {
    if (step.version > from) sql += "BEGIN;\n" + take_lock(schema) + step_sql(step, schema) + "COMMIT;\n";
  }
  return sql;
}

namespace {

int version_of(Connection& connection, const Server& server, int newest, SteadyTime deadline) {
  const Result there = connection.script(
      fmt::format("SELECT to_regclass('\"{}\".meta') IS NOT NULL", server.schema), deadline);
  if (!there.truth(0, 0)) return 0;
  const Result versions =
      connection.script(fill_in("SELECT (SELECT value FROM @.meta WHERE name = 'schema'), "
                                "(SELECT value FROM @.meta WHERE name = 'oldest_program')",
                                server.schema),
                        deadline);
  if (versions.null(0, 0))
    throw StorageError(
        fmt::format("{}: the schema {} has a table \"meta\" that is not quern's", server.name, server.schema),
        false);
  if (versions.number(0, 1) > newest)
    throw StorageError(
        fmt::format("{}: the schema {} has version {} and needs a program that knows version {}, this "
                    "one knows {}; use a newer quern",
                    server.name, server.schema, versions.number(0, 0), versions.number(0, 1), newest),
        false);
  return versions.small(0, 0);
}

}  // namespace

void prepare_schema(Connection& connection, const Server& server, bool migrate, SteadyTime deadline,
                    std::span<const Migration> steps) {
  const int newest = steps.back().version;
  int version = version_of(connection, server, newest, deadline);
  if (version >= newest) return;
  if (!migrate)
    throw StorageError(
        fmt::format("{}: the schema {} has version {}, this program needs {}; run what `migration_sql` "
                    "gives, or let the storage migrate",
                    server.name, server.schema, version, newest),
        false);
  for (const Migration& step : steps) {
    if (step.version <= version) continue;
    // Within one transaction with the lock, so that of several processes one does it and the others wait.
    connection.script("BEGIN", deadline);
    try {
      connection.script(take_lock(server.schema), deadline);
      version = version_of(connection, server, newest, deadline);
      if (version < step.version) {
        connection.script(step_sql(step, server.schema), deadline);
        version = step.version;
      }
      connection.script("COMMIT", deadline);
    } catch (const SqlError&) {
      connection.script("ROLLBACK", deadline);
      throw;
    }
  }
}

}  // namespace quern::inline v1::postgres
