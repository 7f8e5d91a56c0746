// A process for the kill test: enqueues jobs and works on them in one SQLite file, until it is done or
// killed.
//   quern_crash_worker FOLDER SEED add|finish
// Says in FOLDER/acked.log which jobs were acknowledged, and in FOLDER/runs.log when a run begins and ends.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "quern/handlers/curl_transport.hpp"
#include "quern/handlers/digest/digest_handler.hpp"
#include "quern/handlers/notify/file_channel.hpp"
#include "quern/handlers/notify/notification_handler.hpp"
#include "quern/quern.hpp"
#include "quern/sqlite.hpp"
#include "quern/testing/crash.hpp"

using namespace std::chrono_literals;

namespace {

/// A log that many processes append to, a whole line at a time.
class SharedLog {
 public:
  explicit SharedLog(const std::filesystem::path& path)
      : file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {}
  void line(const std::string& text) const {
    const std::string whole = text + '\n';
    if (::write(file_, whole.data(), whole.size()) != static_cast<ssize_t>(whole.size())) std::abort();
  }

 private:
  int file_;
};

void log_run(const SharedLog& runs, const char* what, const quern::JobContext& context) {
  const auto& run = context.job().ref;
  runs.line(std::string(what) + ' ' + to_string(run.id) + ' ' + std::to_string(run.epoch) + ' ' +
            std::to_string(run.node.value) + ' ' + std::to_string(quern::SystemClock().steady().count()));
}

}  // namespace

int main(int argc, char** argv) {
  quern::testing::arm_crash_from_environment();
  if (argc != 4) return 2;
  const std::filesystem::path folder = argv[1];
  quern::Random random(std::stoull(argv[2]));
  const bool add = std::string(argv[3]) == "add";
  const SharedLog acked(folder / "acked.log");
  const SharedLog runs(folder / "runs.log");
  try {
    quern::SqliteStorage storage((folder / "jobs.db").string(), {.busy_timeout = 30s});
    quern::StorageAdapter<quern::SqliteStorage&> records(storage);
    quern::FileArtifactStore artifacts(folder / "artifacts");
    quern::CurlTransport http;
    auto channels = std::make_shared<quern::notify::ChannelSet>();
    channels->add(quern::notify::FileChannel());

    quern::JobQueueConfig config;
    config.default_max_retries = 100'000;
    config.retry_delay = 1ms;
    config.max_retry_delay = 20ms;
    quern::JobQueue queue(storage, config);
    quern::HandlerRegistry handlers;
    handlers.on("count", [&](quern::JobContext& context) {
      log_run(runs, "begin", context);
      context.progress(50, "half");
      context.step("work", [] { return 7; });
      log_run(runs, "end", context);
    });
    handlers.on("turn", [](quern::JobContext&) {});
    handlers.on("fail-once", [&](quern::JobContext& context) {
      if (context.step("first", [&] { return context.fence(); }) == context.fence())
        throw std::runtime_error("first");
    });
    handlers.on<quern::digest::DigestJob>(
        quern::digest::DigestHandler({.records = records, .artifacts = artifacts, .http = http}),
        {.max_attempts = 100'000});
    handlers.on<quern::notify::NotifyJob>(
        quern::notify::NotificationHandler(
            channels,
            [&](std::string_view owner, std::string_view name) { return artifacts.get(owner, name); }, {}),
        {.max_attempts = 100'000});
    quern::Processor processor(queue, handlers,
                               {.max_concurrent_jobs = 4,
                                .lease = 600ms,
                                .poll_interval = 100ms,
                                .watch_interval = 20ms,
                                .progress_interval = 1ms,
                                .crash_limit = 1'000'000,
                                .seed = random.next(),
                                .log = [](const quern::LogRecord& record) {
                                  std::fprintf(stderr, "worker %d: %s\n", ::getpid(),
                                               to_text(record).c_str());
                                }});
    std::vector<quern::JobId> mine;
    const auto keep = [&](const char* kind, quern::JobId id) {
      acked.line(std::string(kind) + ' ' + to_string(id));
      mine.push_back(id);
    };
    if (add) {
      processor.start();
      for (int i = 0; i < 3; ++i)
        keep("count", queue.enqueue("count", quern::Payload(),
                                    {.priority = quern::Priority{static_cast<int>(random.below(4))}}));
      for (const auto& one : queue.enqueue_all(std::vector<quern::NewJob>(4, quern::NewJob{.kind = "count"})))
        keep("count", one.id);
      keep("count", queue.enqueue("count", quern::Payload(), {.run_at = quern::When::after(5ms)}));
      keep("count", queue.enqueue("count", quern::Payload(), {.parents = {mine.front()}}));
      keep("fail-once", queue.enqueue("fail-once", quern::Payload()));
      quern::digest::DigestJob digest{.source = "clone",
                                      .repository = (folder / "repository").string(),
                                      .from = quern::from_us(0),
                                      .recipients = {"file:" + (folder / "outbox").string()}};
      keep("digest", queue.enqueue(digest, {.max_attempts = 100'000}));
      // What operators do, so that its crash points are passed too; on jobs of its own that nobody runs.
      const auto noise = queue.enqueue("noise", quern::Payload(), {.queue = "side"}).id;
      queue.pause("side");
      queue.cancel(noise);
      queue.retry(noise);
      queue.cancel(noise);
      queue.resume("side");
      const auto scrap = queue.enqueue("noise", quern::Payload(), {.queue = "side"}).id;
      queue.reschedule(scrap, quern::When::after(1h));
      queue.set_priority(scrap, quern::Priority::low);
      queue.erase(scrap);
      storage.prune({.state = quern::JobState::cancelled});
      storage.put_record({"noise", "key", quern::Payload::of(1)});
      // A job for each number, by whoever comes first.
      for (bool done = false; !done;) {
        const auto seen = storage.get_record("turns", "last");
        const auto turn = quern::Payload::of(seen ? seen->as<int>() + 1 : 1);
        const quern::RecordChange change{.collection = "turns", .key = "last", .seen = seen, .value = turn};
        if (const auto added = queue.enqueue_if({{.kind = "turn", .payload = turn}}, {&change, 1})) {
          keep("turn", added->front().id);
          done = true;
        }
      }
      // A node that ends one run by itself and stops with another in hand, which is rescued here, however short
      // this life is.
      const std::vector<quern::JobId> both{queue.enqueue("noise", quern::Payload(), {.queue = "side"}).id,
                                           queue.enqueue("noise", quern::Payload(), {.queue = "side"}).id};
      const auto idler = storage.register_node({.name = "idler"});
      storage.renew(idler);
      const auto claims = storage.claim({.node = idler,
                                         .limit = 2,
                                         .kinds = {{"noise", 2, 100'000}},
                                         .queues = {{{.name = "side", .limit = 2}}}});
      if (!claims.empty()) storage.finish(std::vector<quern::Finish>{{.ref = claims.front().ref}});
      storage.retire(idler);
      storage.rescue(100, 1'000'000);
      for (const auto id : both) queue.cancel(id);
      processor.run_until([&] {
        for (const auto& job : queue.find(mine))
          if (!job || !is_terminal(job->state)) return false;
        return true;
      });
    } else {
      processor.run_until([&] {
        for (const auto& count : queue.count())
          if (count.kind != "noise" && !is_terminal(count.state)) return false;
        return true;
      });
    }
    processor.stop();
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "worker %d: %s\n", ::getpid(), e.what());
    return 1;
  }
}
