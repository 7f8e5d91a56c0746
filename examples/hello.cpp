// A durable, typed job in a dozen lines. Run it twice: the file keeps what was done.
#include <nlohmann/json.hpp>
#include <quern/quern.hpp>
#include <quern/sqlite.hpp>

struct Greet {
  static constexpr std::string_view kind = "greet";
  std::string name;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Greet, name)

int main() {
  quern::SqliteStorage storage("hello.db");
  quern::JobQueue queue(storage);
  quern::HandlerRegistry handlers;
  handlers.on<Greet>([](const Greet& job) { std::printf("Hello, %s!\n", job.name.c_str()); });
  queue.enqueue(Greet{"world"});
  quern::Processor(queue, handlers).run_until_idle();
}
