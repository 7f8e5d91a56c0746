// Jobs whose handler may crash, hang or eat all memory, and a host that goes on: each attempt has a process
// of its own.
#include <cstdio>
#include <cstdlib>
#include <quern/quern.hpp>
#include <string>

struct Resize {
  static constexpr std::string_view kind = "resize";
  std::string picture;
};
QUERN_FIELDS(Resize, picture)

int main() {
  quern::HandlerRegistry handlers;
  handlers.on<Resize>(
      [](const Resize& job, quern::JobContext& context) {
        context.progress(10, "decoding");
        if (job.picture == "broken.png") std::abort();  // as a decoder does that nobody has tested so
        if (job.picture == "huge.png") {
          const std::string pixels(1 << 30, 'x');  // std::bad_alloc
          std::fprintf(stderr, "%c", pixels.back());
        }
        if (job.picture == "endless.png")
          while (true) context.progress(20);
        std::fprintf(stderr, "resized %s\n", job.picture.c_str());
      },
      {.timeout = std::chrono::seconds(1),
       .max_attempts = 1,
       .isolation = quern::Isolation::process,
       .limits = {.memory_bytes = 256U << 20U, .stop_grace = std::chrono::milliseconds(500)}});
  handlers.start_isolation();  // first of all: while this program has one thread

  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  for (const char* picture : {"cat.png", "broken.png", "huge.png", "endless.png", "dog.png"})
    queue.enqueue(Resize{picture});
  quern::Processor(queue, handlers).run_until_idle();

  for (const quern::Job& job : queue.list({.oldest_first = true}).jobs)
    std::printf("%s: %s%s%s\n", job.payload.as<Resize>().picture.c_str(),
                std::string(to_string(job.state)).c_str(), job.errors.empty() ? "" : ", ",
                job.errors.empty() ? "" : job.errors.back().message.c_str());
}
