// How fast the engine is beside its floors, in one run. Every figure is one line: name<TAB>value<TAB>unit.
//
//   quern-bench-engine [--quick] [--rounds N] [--folder DIRECTORY] [section ...]

#include <array>
#include <string>

#include "command_line.hpp"

namespace {

constexpr std::array<bench::Section<bench::Settings>, 17> sections{
    {{"json", bench::json},
     {"memory", bench::memory},
     {"memory-parts", bench::memory_parts},
     {"memory-latency", bench::memory_latency},
     {"memory-overhead", bench::memory_overhead},
     {"sqlite", bench::sqlite_batches},
     {"sqlite-group-commit", bench::sqlite_group_commit},
     {"sqlite-latency", bench::sqlite_latency},
     {"write-behind", bench::write_behind},
     {"memory-depth", bench::memory_depth},
     {"sqlite-depth", bench::sqlite_depth},
     {"list", bench::list},
     {"idle", bench::idle},
     {"watched", bench::watched},
     {"pool", bench::pool},
     {"isolated", bench::isolated},
     {"limits", bench::limits}}};

}  // namespace

int main(int argc, char** argv) {
  bench::Settings settings;
  const std::array options{bench::Option{"--folder", [&](const char* value) {
                                           settings.folder = value;
                                           return std::string();
                                         }}};
  return bench::run_sections<bench::Settings>("quern-bench-engine", argc, argv, settings, sections, options);
}
