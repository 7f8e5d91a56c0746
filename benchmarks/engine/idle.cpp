// What a service that has nothing to do costs.

#include <sys/resource.h>
#include <quern/write_behind.hpp>

#include <thread>

#include "support.hpp"

namespace bench {
namespace {

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

template <class Storage>
double idle_percent(Storage& storage, double for_seconds) {
  quern::JobQueue queue(storage);
  auto handlers = quern::HandlerRegistry().on<SendDigest>([](const SendDigest&) {});
  quern::Processor processor(queue, handlers);
  processor.start();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const Stopwatch watch;
  const double before = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::duration<double>(for_seconds));
  const double percent = (cpu_seconds() - before) / watch.seconds() * 100;
  processor.stop();
  return percent;
}

}  // namespace

void idle(const Settings& settings) {
  const double seconds = settings.quick ? 2 : 20;
  quern::MemoryStorage memory;
  print("idle.memory.cpu.percent", idle_percent(memory, seconds), "%");
  const ScratchDatabase file(settings, "idle");
  quern::SqliteStorage storage(file.path());
  print("idle.cpu.percent", idle_percent(storage, seconds), "%");
  const ScratchDatabase behind(settings, "idle-behind");
  quern::SqliteStorage durable(behind.path());
  quern::WriteBehindStorage written_behind(durable);
  print("idle.write_behind.cpu.percent", idle_percent(written_behind, seconds), "%");
}

}  // namespace bench
