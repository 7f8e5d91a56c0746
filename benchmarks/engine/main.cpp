// How fast the engine is beside its floors, in one run. Every figure is one line: name<TAB>value<TAB>unit.
//
//   quern-bench-engine [--quick] [--rounds N] [--folder DIRECTORY] [section ...]

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
  void (*run)(const bench::Settings&);
};

constexpr std::array<Section, 13> sections{{{"json", bench::json},
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
                                            {"idle", bench::idle}}};

int usage(const std::string& problem) {
  std::fprintf(stderr, "quern-bench-engine: %s\nsections:", problem.c_str());
  for (const Section& section : sections)
    std::fprintf(stderr, " %.*s", static_cast<int>(section.name.size()), section.name.data());
  std::fprintf(stderr, "\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) try {
  bench::Settings settings;
  std::vector<std::string_view> wanted;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--quick") {
      settings.quick = true;
    } else if (argument == "--rounds" && has_value) {
      settings.rounds = std::atoi(argv[++i]);
      if (settings.rounds < 1) return usage("--rounds takes a number from 1");
    } else if (argument == "--folder" && has_value) {
      settings.folder = argv[++i];
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
  for (const Section& section : sections) {
    bool run = wanted.empty();
    for (const std::string_view name : wanted) run = run || section.name == name;
    if (run) section.run(settings);
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "quern-bench-engine: %s\n", e.what());
  return 1;
}
