#include <cstdio>

#include "quern/quern.hpp"

int main() {
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  quern::HandlerRegistry handlers;
  handlers.on("work", [](quern::JobContext&) { std::puts("the package works"); });
  queue.enqueue("work", quern::Payload());
  quern::Processor(queue, handlers).run_until_idle();
}
