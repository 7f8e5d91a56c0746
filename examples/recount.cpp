// quern-recount: are the counts of a storage what counting its jobs gives?
#include <fmt/core.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <quern/sqlite.hpp>
#include <string_view>

namespace {

constexpr const char* usage = R"(quern-recount: compares the counts that a storage keeps with its jobs

  quern-recount ADDRESS     such as sqlite:jobs.db

It changes no job, walks over all of them once, and may run while others work. Prints the counts that are wrong.
A file of an older version of quern is first brought up to date, which the older quern then can't use any more.
Exit code: 0 all are right, 1 some are wrong, 2 it could not be found out.
)";

}  // namespace

int main(int argc, char** argv) try {
  const std::string_view address = argc == 2 ? argv[1] : "";
  if (address == "--help" || address == "-h") {
    std::fputs(usage, stdout);
    return 0;
  }
  if (address.empty()) {
    std::fputs(usage, stderr);
    return 2;
  }
  // Opening a file that is not there would make it.
  constexpr std::string_view sqlite = "sqlite:";
  if (address.starts_with(sqlite) && !std::filesystem::exists(address.substr(sqlite.size()))) {
    fmt::print(stderr, "quern-recount: there is no file {}\n", address.substr(sqlite.size()));
    return 2;
  }
  auto storage = quern::open_storage(address);
  const auto faults = storage.recount();
  if (faults.empty()) {
    fmt::print("{}: all counts are right\n", address);
    return 0;
  }
  fmt::print("{:<24} {:<32} {:<10} {:>12} {:>12}\n", "queue", "kind", "state", "kept", "found");
  for (const quern::CountFault& fault : faults)
    fmt::print("{:<24} {:<32} {:<10} {:>12} {:>12}\n", fault.queue, fault.kind, quern::to_string(fault.state),
               fault.kept, fault.found);
  return 1;
} catch (const std::exception& e) {
  fmt::print(stderr, "quern-recount: {}\n", e.what());
  return 2;
}
