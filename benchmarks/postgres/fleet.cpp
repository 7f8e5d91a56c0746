// Several processes on one database.

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

extern char** environ;

namespace bench::pg {
namespace {

/// This program once more, as a worker.
class Worker {
 public:
  Worker(const std::string& address, const std::string& schema) {
    std::string program = "/proc/self/exe";
    std::string mode = "--worker";
    std::string place = address;
    std::string name = schema;
    const std::array<char*, 5> arguments{program.data(), mode.data(), place.data(), name.data(), nullptr};
    if (::posix_spawn(&process_, program.c_str(), nullptr, nullptr, arguments.data(), environ) != 0)
      throw std::runtime_error("a worker does not start");
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }

 private:
  pid_t process_ = -1;
};

std::uint64_t completed(quern::PostgresStorage& storage) {
  std::uint64_t sum = 0;
  for (const auto& count : storage.count())
    if (count.state == quern::JobState::completed) sum += count.count;
  return sum;
}

}  // namespace

void work_for_ever(const std::string& address, const std::string& schema) {
  quern::PostgresStorage storage(address, {.schema = schema});
  quern::JobQueue queue(storage);
  auto handlers = quern::HandlerRegistry().on<SendDigest>([](const SendDigest&) {});
  quern::Processor processor(queue, handlers, {.max_concurrent_jobs = 500});
  processor.run_until([] { return false; });
}

/// From the first enqueue, by this process, to the last end. It looks every 5 ms.
void processes(const Settings& settings) {
  std::vector<SendDigest> jobs;
  for (std::size_t i = 0; i < settings.scaled(50'000); ++i) jobs.push_back(digest(i));
  Figures figures;
  for (int round = 0; round < settings.rounds; ++round) {
    for (const std::size_t number : {std::size_t{1}, std::size_t{2}, std::size_t{4}}) {
      Scene scene(settings);
      quern::JobQueue queue(scene.storage());
      std::vector<std::unique_ptr<Worker>> workers;
      for (std::size_t i = 0; i < number; ++i)
        workers.push_back(std::make_unique<Worker>(settings.address, scene.schema()));
      while (scene.storage().nodes().size() < number)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      constexpr std::size_t batch = 500;
      const Stopwatch watch;
      for (std::size_t i = 0; i < jobs.size(); i += batch)
        queue.enqueue_all(std::span(jobs).subspan(i, std::min(batch, jobs.size() - i)));
      while (completed(scene.storage()) < jobs.size())
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      const double seconds = watch.seconds();
      workers.clear();
      figures.add("postgres.e2e_500_by_" + std::to_string(number) + "_processes.jobs_per_s",
                  static_cast<double>(jobs.size()) / seconds, "jobs/s");
    }
  }
  figures.print();
}

}  // namespace bench::pg
