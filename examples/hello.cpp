// A durable, typed job in twelve lines. Run it twice: hello.db keeps what was done.
#include <cstdio>
#include <quern/sqlite.hpp>

struct Greet {
  static constexpr std::string_view kind = "greet";
  std::string name;
};
QUERN_FIELDS(Greet, name)

int main() {
  quern::SqliteStorage storage("hello.db");
  quern::JobQueue queue(storage);
  auto handlers = quern::HandlerRegistry().on<Greet>([](const Greet& job) { std::puts(job.name.c_str()); });
  queue.enqueue(Greet{"Hello, world!"});
  quern::Processor(queue, handlers).run_until_idle();
}
