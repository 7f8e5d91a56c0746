// Every statement of src/storage/sqlite/sql*.hpp, as SQLite will run it: nothing walks a table that grows
// with the jobs, and nothing sorts.

#include <cctype>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/sqlite_fixture.hpp"
#include "support/catch.hpp"

namespace {

using quern_test::RawDb;
using quern_test::TempFolder;

struct Named {
  std::string name;
  std::string sql;
};

/// The string literals of each "constexpr Statement x{...}": its name and its text.
std::vector<Named> statements_of(const std::string& source) {
  std::vector<Named> all;
  for (std::size_t at = source.find("constexpr Statement "); at != std::string::npos;
       at = source.find("constexpr Statement ", at)) {
    at = source.find('{', at);
    std::vector<std::string> texts;
    bool after_comma = true;
    while (source[++at] != '}') {
      if (source[at] == ',') after_comma = true;
      if (source[at] != '"') continue;
      if (after_comma) texts.emplace_back();
      after_comma = false;
      for (++at; source[at] != '"'; ++at) texts.back() += source[at];
    }
    REQUIRE(texts.size() == 2);
    all.push_back({texts[0], texts[1]});
  }
  return all;
}

std::vector<Named> all_statements() {
  std::vector<Named> all;
  for (const char* const file : {"sql.hpp", "sql_read.hpp", "sql_zones.hpp"}) {
    const auto some =
        statements_of(quern_test::read_text(std::string(QUERN_SOURCE_DIR "/src/storage/sqlite/") + file));
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

/// Tables with a row per lane, queue, node or claimed batch: read as a whole where all of it is wanted.
const std::set<std::string> small_tables{"quern_lanes",  "quern_queues",  "quern_nodes", "quern_claims",
                                         "quern_totals", "quern_cancels", "quern_limits"};

/// Statements that take one step into a big table, in the order of its key, and no more.
bool takes_one_step(const std::string& name) {
  return name.starts_with("any_") || name == "first_sched" || name == "first_expiry";
}

/// What the plan does that it must not; empty when it is fine.
std::string fault_of(const Named& statement, const std::string& detail) {
  if (detail.find("TEMP B-TREE") != std::string::npos) return "sorts";
  if (detail.find("AUTOMATIC") != std::string::npos) return "builds an index";
  if (!detail.starts_with("SCAN ")) return {};
  if (detail == "SCAN CONSTANT ROW") return {};
  std::string table = detail.substr(5, detail.find(' ', 5) - 5);
  if (table.size() == 1) table = statement.name == "all_counts" ? "quern_totals" : table;  // an alias
  if (small_tables.contains(table)) return {};
  // These look at all jobs, as they were asked to.
  if (statement.name.starts_with("recount_") || statement.name.starts_with("fill_")) return {};
  if (takes_one_step(statement.name) && statement.sql.ends_with("LIMIT 1")) return {};
  return "scans";
}

}  // namespace

TEST_CASE("every statement of SqliteStorage is found by key", "[storage][sqlite]") {
  const TempFolder folder;
  const std::string path = (folder / "jobs.db").string();
  {
    const quern::SqliteStorage storage(path);
  }
  const RawDb db(path);
  const auto statements = all_statements();
  CHECK(statements.size() > 80);
  std::set<std::string> names;
  for (const auto& [name, sql] : statements) {
    CAPTURE(name, sql);
    CHECK(names.insert(name).second);
    if (sql.starts_with("PRAGMA") || sql.starts_with("BEGIN") || sql.starts_with("COMMIT") ||
        sql.starts_with("ROLLBACK") || sql.starts_with("SAVEPOINT") || sql.starts_with("RELEASE"))
      continue;
    for (const auto& row : db.rows("EXPLAIN QUERY PLAN " + sql)) {
      const std::string& detail = row.at(3);
      CAPTURE(detail);
      CHECK(fault_of({name, sql}, detail) == "");
    }
  }
}

TEST_CASE("the plans stay the same with the statistics of a large and lopsided database",
          "[storage][sqlite]") {
  // A host may run ANALYZE on its file; what it finds there must not lead the planner astray.
  const TempFolder folder;
  const std::string path = (folder / "jobs.db").string();
  {
    const quern::SqliteStorage storage(path);
  }
  const RawDb db(path);
  db.run("ANALYZE");
  for (const char* const row :
       {"'quern_failed','quern_failed_state','1000000 1000000'",
        "'quern_zones','quern_zones','39000 19500 1'",
        "'quern_lane_zones','quern_lane_zones','90000 40000 1'",
        "'quern_ended','quern_ended','90000 40000 20000 5 1'",
        "'quern_labelled','quern_labelled','9000000 9 1'",
        "'quern_labels','sqlite_autoindex_quern_labels_1','1000000 500000 1'",
        "'quern_ready','quern_ready','9 9 3 2 1'", "'quern_sched','quern_sched','1000000 2 1'",
        "'quern_sched','quern_sched_id','1000000 1'", "'quern_deps','quern_deps','10 10 1'",
        "'quern_deps','quern_deps_child','10 1'", "'quern_jobs',NULL,'6000000'"})
    db.run(std::string("INSERT INTO sqlite_stat1 VALUES(") + row + ")");
  db.run("ANALYZE sqlite_schema");  // reads them in
  for (const auto& [name, sql] : all_statements()) {
    if (!sql.starts_with("SELECT") && !sql.starts_with("DELETE") && !sql.starts_with("UPDATE")) continue;
    for (const auto& row : db.rows("EXPLAIN QUERY PLAN " + sql)) {
      CAPTURE(name, sql, row.at(3));
      CHECK(fault_of({name, sql}, row.at(3)) == "");
    }
  }
}
