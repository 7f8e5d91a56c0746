#pragma once

#include <quern/postgres.hpp>

#include <memory>
#include <string>

#include "../engine/support.hpp"

/// What the sections of quern-bench-postgres share; the job and the figures are those of quern-bench-engine.
namespace bench::pg {

struct Settings : bench::Settings {
  std::string address{};  ///< Of a server whose database may be written to.
  int minutes = 0;        ///< How long snapshot_claim goes on; 0: for a million claims.
};

/// A schema of its own with a storage on it, dropped at the end.
class Scene {
 public:
  explicit Scene(const Settings& settings);
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;
  ~Scene();

  [[nodiscard]] quern::PostgresStorage& storage() noexcept { return *storage_; }
  [[nodiscard]] const std::string& schema() const noexcept { return schema_; }
  /// A second one on the same jobs, as another process has it.
  [[nodiscard]] std::unique_ptr<quern::PostgresStorage> another() const;

 private:
  const std::string address_;
  const std::string schema_;
  std::unique_ptr<quern::PostgresStorage> storage_;
};

/// Runs a statement; the first value of its answer.
std::string ask(const std::string& address, const std::string& sql);

/// Adds so many jobs, of four priorities, 10'000 at a time.
void fill(quern::PostgresStorage& storage, std::size_t count);
/// Of jobs of that kind, in any queue.
[[nodiscard]] quern::ClaimRequest request(quern::NodeId node, std::size_t limit);
void complete(quern::PostgresStorage& storage, const std::vector<quern::Claim>& claims);

/// What a process that `processes` starts does, until it is killed.
void work_for_ever(const std::string& address, const std::string& schema);

// The sections.
void insert(const Settings& settings);
void claim_finish(const Settings& settings);
void e2e(const Settings& settings);
void drain(const Settings& settings);
void limits(const Settings& settings);
void least(const Settings& settings);
void processes(const Settings& settings);
void latency(const Settings& settings);
void idle(const Settings& settings);
void snapshot_claim(const Settings& settings);
void depth(const Settings& settings);
void history(const Settings& settings);

}  // namespace bench::pg
