// How fast quern is on PostgreSQL beside a bare libpq loop over the same statements, in one run. Every figure is
// one line: name<TAB>value<TAB>unit.
//
//   benchmarks/postgres/run [--quick] [--rounds N] [--minutes N] [section ...]      with a server of its own
//   quern-bench-postgres --address postgresql://... [the same]                      on yours, in schemas of its own

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "support.hpp"

namespace {

struct Section {
  std::string_view name;
  void (*run)(const bench::pg::Settings&);
};

constexpr std::array<Section, 9> sections{{{"insert", bench::pg::insert},
                                           {"claim-finish", bench::pg::claim_finish},
                                           {"e2e", bench::pg::e2e},
                                           {"least-sql", bench::pg::least},
                                           {"processes", bench::pg::processes},
                                           {"latency", bench::pg::latency},
                                           {"idle", bench::pg::idle},
                                           {"snapshot-claim", bench::pg::snapshot_claim},
                                           {"depth", bench::pg::depth}}};

int usage(const std::string& problem) {
  std::fprintf(stderr, "quern-bench-postgres: %s\nsections:", problem.c_str());
  for (const Section& section : sections)
    std::fprintf(stderr, " %.*s", static_cast<int>(section.name.size()), section.name.data());
  std::fprintf(stderr, "\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 4 && std::string_view(argv[1]) == "--worker") {
    bench::pg::work_for_ever(argv[2], argv[3]);
    return 0;
  }
  bench::pg::Settings settings;
  if (const char* const address = std::getenv("QUERN_POSTGRES")) settings.address = address;
  std::vector<std::string_view> wanted;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--quick") {
      settings.quick = true;
    } else if (argument == "--rounds" && has_value) {
      settings.rounds = std::atoi(argv[++i]);
      if (settings.rounds < 1) return usage("--rounds takes a number from 1");
    } else if (argument == "--minutes" && has_value) {
      settings.minutes = std::atoi(argv[++i]);
      if (settings.minutes < 1) return usage("--minutes takes a number from 1");
    } else if (argument == "--address" && has_value) {
      settings.address = argv[++i];
    } else if (argument.starts_with('-')) {
      return usage("what is " + std::string(argument) + "?");
    } else {
      wanted.push_back(argument);
    }
  }
  for (const std::string_view name : wanted) {
    bool known = false;
    for (const Section& section : sections) known = known || section.name == name;
    if (!known) return usage("there is no section " + std::string(name));
  }
  if (settings.address.empty())
    return usage("which server? --address, QUERN_POSTGRES or benchmarks/postgres/run");
  for (const Section& section : sections) {
    bool run = wanted.empty();
    for (const std::string_view name : wanted) run = run || section.name == name;
    if (run) section.run(settings);
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "quern-bench-postgres: %s\n", e.what());
  return 1;
}
