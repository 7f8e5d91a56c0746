#include "support.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace bench {

SendDigest digest(std::size_t number) {
  return {.repository = "quern/quern",
          .user_id = static_cast<std::int64_t>(1'000'000 + number),
          .period = "2026-01-01/2026-01-31",
          .recipients = {"ada@example.org", "bob@example.org"},
          .note = "forty characters that say nothing at all"};
}

void print(std::string_view name, double value, std::string_view unit) {
  std::printf("%.*s\t%.4g\t%.*s\n", static_cast<int>(name.size()), name.data(), value,
              static_cast<int>(unit.size()), unit.data());
  std::fflush(stdout);
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto place =
      values.begin() + static_cast<std::ptrdiff_t>(static_cast<double>(values.size() - 1) * share);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

void Figures::add(const std::string& name, double value, std::string_view unit) {
  const auto known = std::ranges::find(figures_, name, &Figure::name);
  Figure& figure =
      known == figures_.end() ? figures_.emplace_back(Figure{name, std::string(unit), {}}) : *known;
  figure.values.push_back(value);
}

void Figures::print() const {
  for (const Figure& figure : figures_) bench::print(figure.name, median(figure.values), figure.unit);
}

ScratchDatabase::ScratchDatabase(const Settings& settings, const std::string& name)
    : path_(settings.folder / ("quern-bench-" + std::to_string(::getpid()) + "-" + name + ".db")) {
  fs::remove(path_);
}

ScratchDatabase::~ScratchDatabase() {
  std::error_code ignored;  // what is left in the temporary folder harms nobody
  for (const char* suffix : {"", "-wal", "-shm", "-keeper"}) fs::remove(path_.string() + suffix, ignored);
}

}  // namespace bench
