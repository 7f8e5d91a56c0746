// A queue that is watched: its log, its figures and their history, its alerts and its health, each as it would go to whoever
// asks. Ends by itself.
#include <cstdio>
#include <future>
#include <mutex>
#include <quern/alerts.hpp>
#include <quern/health.hpp>
#include <quern/history.hpp>
#include <quern/quern.hpp>

using namespace std::chrono_literals;

int main() {
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  quern::JobMonitor monitor(queue, {.sample_interval = 100ms});
  quern::JobHistory history(queue, monitor);

  quern::AlertOptions options;
  quern::AlertRule rule;
  rule.name = "too_much_mail";
  rule.metric = quern::AlertMetric::jobs().of_queue("mail");
  rule.threshold = 100;
  options.rules = {rule};
  options.interval = 100ms;
  options.job = [](const quern::AlertEvent& event) {  // once for all processes, whatever becomes of this one
    return std::optional(quern::make_job("tell", quern::Payload::of(event), {}));
  };
  quern::AlertManager alerts(queue, monitor, options);

  std::promise<void> resolved;
  auto handlers = quern::HandlerRegistry();
  handlers.on("tell", [&](quern::JobContext& context) {
    const auto event = context.job().payload.as<quern::AlertEvent>();
    context.warning(event.summary(), {{"rule", event.rule}});
    if (event.type == quern::AlertEventType::triggered) queue.cancel_all({.queue = "mail"});
    if (event.type == quern::AlertEventType::resolved) resolved.set_value();
  });
  quern::HealthChecks health({quern::storage_probe(queue), quern::worker_probe(queue)});
  std::mutex mutex;  // a sink may be told by several threads at once
  const quern::Logger log = [&](const quern::LogRecord& record) {
    const std::lock_guard lock(mutex);
    std::puts(to_json(record).c_str());
  };
  quern::ProcessorOptions engine;
  engine.log = log;
  quern::Processor processor(queue, handlers, engine);

  for (int i = 0; i < 101; ++i)
    queue.enqueue("send", quern::Payload(), {.queue = "mail"});  // nobody sends them
  processor.start();
  monitor.start();
  history.start();
  alerts.start();
  health.start();
  resolved.get_future().wait();
  while (!health.readiness().ok()) std::this_thread::sleep_for(10ms);
  std::puts(to_json(health.readiness()).c_str());
  history.stop();  // writes the minute under way
  const auto now = quern::SystemClock().now();
  std::puts(history.json({.from = now - 1h, .to = now}).c_str());
}
