// The fleet test in full size, for tools/fleet-soak.
//   quern_fleet_soak [JOBS [WORKERS [SEED]]]
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>

#include "support/fleet_nemesis.hpp"

using namespace std::chrono_literals;

int main(int argc, char** argv) try {
  const std::uint64_t jobs = argc > 1 ? std::stoull(argv[1]) : 1'000'000;
  const int workers = argc > 2 ? std::stoi(argv[2]) : 10;
  const std::uint64_t seed = argc > 3 ? std::stoull(argv[3]) : quern::Random::entropy();
  std::printf("%llu jobs, %d workers, seed %llu\n", static_cast<unsigned long long>(jobs), workers,
              static_cast<unsigned long long>(seed));
  quern_test::Fleet fleet(
      {.program = std::filesystem::path(argv[0]).replace_filename("quern_fleet_worker").string(),
       .workers = workers,
       .slots = 100,
       .lease = 1s,
       .poll = 500ms,
       .producers = 4,
       .batch = 1000,
       .most_waiting = 20'000,
       .seed = seed});
  const auto report = quern_test::torment(fleet, seed, jobs, 3, 10s, [](std::string_view line) {
    std::printf("%.*s\n", static_cast<int>(line.size()), line.data());
    std::fflush(stdout);
  });
  std::printf("%s\n%s\n", to_text(report).c_str(), report.good() ? "good" : "NOT GOOD");
  return report.good() ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "quern_fleet_soak: %s\n", e.what());
  return 2;
}
