#pragma once

#include <cstdio>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support.hpp"

namespace bench {

/// A part of a benchmark program, by the name that its command line knows.
template <class S>
struct Section {
  std::string_view name;
  void (*run)(const S&);
};

/// An option with a value, of one program alone. `take` answers what is wrong with it; empty: nothing.
struct Option {
  std::string_view name;
  std::function<std::string(const char* value)> take;
};

/// Takes `--quick`, `--rounds N` and the options; what is left is put into `wanted`. Answers what is wrong with
/// the command line; empty: nothing.
std::string read_arguments(int argc, char** argv, Settings& settings, std::span<const Option> options,
                           std::vector<std::string_view>& wanted);

/// The number that a value is; 0 where it is none.
[[nodiscard]] int number_of(const char* value);

/// The whole of a benchmark program: runs the sections that the command line names, or all, and answers what
/// main returns. `check`: what is wrong with the settings when all options have been taken; empty: nothing.
template <class S>
int run_sections(
    const char* program, int argc, char** argv, S& settings, std::span<const Section<S>> sections,
    std::span<const Option> options,
    const std::function<std::string()>& check = [] { return std::string(); }) try {
  std::vector<std::string_view> wanted;
  std::string problem = read_arguments(argc, argv, settings, options, wanted);
  for (const std::string_view name : wanted) {
    bool known = false;
    for (const Section<S>& section : sections) known = known || section.name == name;
    if (!known && problem.empty()) problem = "there is no section " + std::string(name);
  }
  if (problem.empty()) problem = check();
  if (!problem.empty()) {
    std::fprintf(stderr, "%s: %s\nsections:", program, problem.c_str());
    for (const Section<S>& section : sections)
      std::fprintf(stderr, " %.*s", static_cast<int>(section.name.size()), section.name.data());
    std::fprintf(stderr, "\n");
    return 2;
  }
  for (const Section<S>& section : sections) {
    bool run = wanted.empty();
    for (const std::string_view name : wanted) run = run || section.name == name;
    if (run) section.run(settings);
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s: %s\n", program, e.what());
  return 1;
}

}  // namespace bench
