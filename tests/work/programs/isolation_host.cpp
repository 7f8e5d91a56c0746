// A host for a test that kills it: runs one isolated job that never ends, and says who runs it.
//   quern_isolation_host FIFO
// Writes "RUNNER SERVER\n", their process ids, into the FIFO.
#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "quern/quern.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string fifo = argv[1];
  quern::HandlerRegistry handlers;
  handlers.on("hang",
              [&](quern::JobContext&) {
                const int to = ::open(fifo.c_str(), O_WRONLY | O_CLOEXEC);
                const std::string line =
                    std::to_string(::getpid()) + ' ' + std::to_string(::getppid()) + '\n';
                if (::write(to, line.data(), line.size()) < 0) ::_exit(1);
                ::close(to);
                while (true) ::pause();
              },
              {.isolation = quern::Isolation::process});
  handlers.start_isolation();
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  queue.enqueue("hang", quern::Payload());
  quern::Processor(queue, handlers).run_until_idle();
}
