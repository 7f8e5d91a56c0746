// quern-copy: moves to another storage, such as from a SQLite file to PostgreSQL.
#include <fmt/core.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <quern/postgres.hpp>
#include <quern/sqlite.hpp>
#include <quern/storage/copy_jobs.hpp>
#include <string_view>

namespace {

constexpr const char* usage = R"(quern-copy: copies all jobs and records of one storage to another, empty one

  quern-copy FROM TO     such as quern-copy sqlite:jobs.db postgresql://user@host/database

No process may work on either meanwhile. FROM stays as it is: do not let jobs run from both afterwards.
Exit code: 0 all is copied, 1 nothing is.
)";

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::fputs(usage, stderr);
    return 1;
  }
  const std::string_view from = argv[1];
  // Opening a file that is not there would make it.
  constexpr std::string_view sqlite = "sqlite:";
  if (from.starts_with(sqlite) && !std::filesystem::exists(from.substr(sqlite.size()))) {
    fmt::print(stderr, "quern-copy: there is no file {}\n", from.substr(sqlite.size()));
    return 1;
  }
  const auto source = quern::open_storage(from);
  const auto target = quern::open_storage(argv[2]);
  const quern::CopyResult copied = quern::copy_jobs(source.port(), target.port());
  fmt::print("{} jobs, {} records and the settings of {} queues are in {}\n", copied.jobs, copied.records,
             copied.queues, target.describe());
  return 0;
} catch (const std::exception& e) {
  fmt::print(stderr, "quern-copy: {}\n", e.what());
  return 1;
}
