#pragma once

#include <quern/sqlite.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What the sections of quern-bench-engine share.
namespace bench {

namespace fs = std::filesystem;

struct Settings {
  bool quick = false;  ///< A tenth of the work: to see that it runs.
  int rounds = 5;      ///< Floor and engine take turns so often; each figure is the median.
  fs::path folder = fs::temp_directory_path();

  [[nodiscard]] std::size_t scaled(std::size_t count) const { return quick ? count / 10 : count; }
};

/// The job of all sections: about 185 bytes of JSON.
struct SendDigest {
  static constexpr std::string_view kind = "digest.send";
  std::string repository;
  std::int64_t user_id = 0;
  std::string period;
  std::vector<std::string> recipients;
  std::string note;
};
QUERN_FIELDS(SendDigest, repository, user_id, period, recipients, note)

[[nodiscard]] SendDigest digest(std::size_t number);

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// One figure, as one line.
void print(std::string_view name, double value, std::string_view unit);

/// The value below which a share of them lies. Empty: 0.
[[nodiscard]] double quantile(std::vector<double> values, double share);
[[nodiscard]] inline double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

/// Figures of several rounds: printed as their medians, in the order in which they came first.
class Figures {
 public:
  void add(const std::string& name, double value, std::string_view unit);
  void print() const;

 private:
  struct Figure {
    std::string name;
    std::string unit;
    std::vector<double> values;
  };
  std::vector<Figure> figures_;
};

/// A path for a database that is not there, and is removed at the end with all that lies beside it.
class ScratchDatabase {
 public:
  ScratchDatabase(const Settings& settings, const std::string& name);
  ScratchDatabase(const ScratchDatabase&) = delete;
  ScratchDatabase& operator=(const ScratchDatabase&) = delete;
  ~ScratchDatabase();
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

// The sections.
void json(const Settings& settings);
void memory(const Settings& settings);
void memory_parts(const Settings& settings);
void memory_latency(const Settings& settings);
void memory_overhead(const Settings& settings);
void sqlite_batches(const Settings& settings);
void sqlite_group_commit(const Settings& settings);
void sqlite_latency(const Settings& settings);
void write_behind(const Settings& settings);
void memory_depth(const Settings& settings);
void sqlite_depth(const Settings& settings);
void list(const Settings& settings);
void idle(const Settings& settings);
void watched(const Settings& settings);
void pool(const Settings& settings);
void isolated(const Settings& settings);
void limits(const Settings& settings);

}  // namespace bench
