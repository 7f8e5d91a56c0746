#include "storage/postgres/failure.hpp"

#include <fmt/core.h>
#include <libpq-fe.h>

#include <array>
#include <string_view>

#include "quern/core/limits.hpp"

namespace quern::inline v1::postgres {
namespace {

struct Meaning {
  std::string_view state;  ///< Or its beginning.
  bool transient;
  std::string_view help;
};

// The first one that fits.
constexpr std::array meanings{
    Meaning{"40", true, "another transaction was in the way; nothing was changed, call again"},
    Meaning{"55P03", true,
            "another transaction holds a lock for longer than the lock_timeout; nothing was changed, "
            "call again"},
    Meaning{"57014", true, "the statement took longer than its timeout; nothing was changed, call again"},
    Meaning{"57", true, "the server shuts down or starts; nothing was changed, call again"},
    Meaning{"53300", true, "the server has no connection left; raise its max_connections or use fewer"},
    Meaning{"53100", true, "the server's disk is full; make room and call again"},
    Meaning{"53", true, "the server is short of a resource; nothing was changed, call again"},
    Meaning{"58", true, "the server's system failed; look after its log"},
    Meaning{"25006", true, "the server is read-only, as a standby is; the address must lead to the primary"},
    Meaning{"08", true, "the connection failed; call again"},
    Meaning{"QU003", true,
            "the jobs are kept in memory by another process and written behind; it must stop "
            "before this one can change them"},
    Meaning{"QU006", true, ""},
    Meaning{"QU004", false, "the database is damaged"},
    Meaning{"QU002", false, ""},
    Meaning{"QU005", false, ""},
    Meaning{"42501", false, "the user lacks a right; see the function grant_role of the schema"},
    Meaning{"28", false, "the user may not connect"},
    Meaning{"3D000", false, "there is no such database; create it first"},
    Meaning{"3F000", false, "the schema is missing; open the storage with `migrate`, or run `migration_sql`"},
    Meaning{"42P01", false, "the schema is missing or not quern's; open the storage with `migrate`"},
    Meaning{"42883", false, "the schema is missing, older or not quern's; open the storage with `migrate`"},
    Meaning{"XX", false, "the database is damaged, or the server failed; look after its log"},
};

}  // namespace

std::string one_line(const char* message) {
  std::string text = message == nullptr ? "" : message;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  for (char& c : text) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return clean_message(text, 1000);
}

void throw_failure(const pg_result* result, const std::string& server) {
  const char* const code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const std::string state = code == nullptr ? "" : code;
  // Of the message alone: details may show values.
  const std::string text = one_line(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
  if (state == "QU001") {
    const auto bar = text.find('|');
    throw InvalidArgument(text.substr(0, bar), text.substr(bar == std::string::npos ? text.size() : bar + 1));
  }
  for (const Meaning& meaning : meanings) {
    if (!state.starts_with(meaning.state)) continue;
    throw SqlError(fmt::format("{}: {}{}{}", server, text, meaning.help.empty() ? "" : "; ", meaning.help),
                   meaning.transient, state);
  }
  throw SqlError(fmt::format("{}: {} (SQLSTATE {})", server, text, state), false, state);
}

}  // namespace quern::inline v1::postgres
