#include "command_line.hpp"

#include <algorithm>
#include <cstdlib>

namespace bench {

int number_of(const char* value) { return std::atoi(value); }

std::string read_arguments(int argc, char** argv, Settings& settings, std::span<const Option> options,
                           std::vector<std::string_view>& wanted) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--quick") {
      settings.quick = true;
    } else if (argument == "--rounds" && has_value) {
      settings.rounds = number_of(argv[++i]);
      if (settings.rounds < 1) return "--rounds takes a number from 1";
    } else if (const auto option = std::ranges::find(options, argument, &Option::name);
               option != options.end() && has_value) {
      if (std::string problem = option->take(argv[++i]); !problem.empty()) return problem;
    } else if (argument.starts_with('-')) {
      return "what is " + std::string(argument) + "?";
    } else {
      wanted.push_back(argument);
    }
  }
  return {};
}

}  // namespace bench
