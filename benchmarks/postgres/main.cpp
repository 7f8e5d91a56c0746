// How fast quern is on PostgreSQL beside a bare libpq loop over the same statements, in one run. Every figure is
// one line: name<TAB>value<TAB>unit.
//
//   benchmarks/postgres/run [--quick] [--rounds N] [--minutes N] [section ...]      with a server of its own
//   quern-bench-postgres --address postgresql://... [the same]                      on yours, in schemas of its own

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../engine/command_line.hpp"
#include "support.hpp"

namespace {

constexpr std::array<bench::Section<bench::pg::Settings>, 12> sections{
    {{"insert", bench::pg::insert},
     {"claim-finish", bench::pg::claim_finish},
     {"e2e", bench::pg::e2e},
     {"drain", bench::pg::drain},
     {"limits", bench::pg::limits},
     {"least-sql", bench::pg::least},
     {"processes", bench::pg::processes},
     {"latency", bench::pg::latency},
     {"idle", bench::pg::idle},
     {"snapshot-claim", bench::pg::snapshot_claim},
     {"depth", bench::pg::depth},
     {"history", bench::pg::history}}};

}  // namespace

int main(int argc, char** argv) {
  constexpr const char* program = "quern-bench-postgres";
  if (argc == 4 && std::string_view(argv[1]) == "--worker") {
    try {
      bench::pg::work_for_ever(argv[2], argv[3]);
      return 0;
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s: %s\n", program, e.what());
      return 1;
    }
  }
  bench::pg::Settings settings;
  if (const char* const address = std::getenv("QUERN_POSTGRES")) settings.address = address;
  const std::array options{bench::Option{"--minutes",
                                         [&](const char* value) {
                                           settings.minutes = bench::number_of(value);
                                           return settings.minutes < 1 ? "--minutes takes a number from 1"
                                                                       : std::string();
                                         }},
                           bench::Option{"--address", [&](const char* value) {
                                           settings.address = value;
                                           return std::string();
                                         }}};
  return bench::run_sections<bench::pg::Settings>(program, argc, argv, settings, sections, options, [&] {
    return std::string(
        settings.address.empty() ? "which server? --address, QUERN_POSTGRES or benchmarks/postgres/run" : "");
  });
}
