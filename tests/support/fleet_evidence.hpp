#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "support/fleet_check.hpp"

struct pg_conn;
struct pg_result;

namespace quern_test {

/// SQL that makes the tables in which handlers write down what they do: plain ones, which have nothing to do
/// with the storage under test but the server's clock.
[[nodiscard]] std::string evidence_tables();

/// Reads what all workers wrote. `address`: of the server itself.
[[nodiscard]] std::vector<FleetHistory::Run> read_evidence(const std::string& address);

/// Writes for the threads of one worker. A call returns when what it says is durable, however often the
/// server goes away meanwhile; what several threads say shares a transaction.
class EvidenceWriter {
 public:
  /// `worker`: a number that no other process has.
  EvidenceWriter(std::string address, std::int64_t worker);
  EvidenceWriter(const EvidenceWriter&) = delete;
  EvidenceWriter& operator=(const EvidenceWriter&) = delete;
  ~EvidenceWriter();

  /// That a handler starts. Returns its token, which is never 0.
  std::uint64_t begin(std::uint64_t job, std::uint32_t epoch, int attempt);
  /// That it is about to report its end.
  void end(std::uint64_t token, bool refused);

 private:
  struct Line {
    std::uint64_t token = 0;
    bool begins = false;
    std::uint64_t job = 0;
    std::uint32_t epoch = 0;
    int attempt = 0;
    bool refused = false;
  };
  void write(Line line);
  void send(const std::vector<Line>& lines);
  bool run(const std::string& sql);

  const std::string address_;
  const std::int64_t worker_;
  pg_conn* connection_ = nullptr;  // of who writes

  std::mutex mutex_;
  std::array<std::condition_variable, 2> written_;  // by round
  std::vector<Line> lines_;
  std::uint64_t next_ = 1;
  std::uint64_t round_ = 0;  // that lines_ will be written in
  std::uint64_t done_ = 0;   // rounds that have been
  bool writing_ = false;
};

}  // namespace quern_test
