#pragma once

#include <condition_variable>
#include <mutex>
#include <quern/job_service.hpp>
#include <quern/scheduler.hpp>
#include <stop_token>
#include <string>

// Jobs that come and go by themselves, for a look at the dashboard: a shop that sends mails, makes reports, and has a partner
// whose server is not always there.

struct SampleVisit {
  static constexpr std::string_view kind = "shop.visit";
};
QUERN_FIELDS(SampleVisit)

struct SampleMail {
  static constexpr std::string_view kind = "shop.mail";
  std::string to{};
  std::string subject{};
  quern::Secret password{};
};
QUERN_FIELDS(SampleMail, to, subject, password)

struct SampleReport {
  static constexpr std::string_view kind = "shop.report";
  std::string name{};
  int pages = 20;
};
QUERN_FIELDS(SampleReport, name, pages)

struct SampleCall {
  static constexpr std::string_view kind = "shop.partner_call";
  int order = 0;
};
QUERN_FIELDS(SampleCall, order)

/// Waits, unless it is asked to stop. False: it was.
inline bool pause(quern::JobContext& context, std::chrono::milliseconds time) {
  std::mutex mutex;
  std::condition_variable_any bell;
  std::unique_lock lock(mutex);
  (void)bell.wait_for(lock, context.stop_token(), time, [] { return false; });
  return !context.stop_requested();
}

inline void add_sample_handlers(quern::HandlerRegistry& handlers) {
  using namespace std::chrono_literals;
  handlers.on<SampleVisit>([](const SampleVisit&, quern::JobContext& context) {
    // By the job's number and not by chance, so that each start shows the same.
    const auto number = static_cast<int>(context.id().value % 1000);
    const std::string tenant = number % 3 == 0 ? "acme" : "globex";
    for (int i = 0; i < 1 + number % 4; ++i)
      context.then(SampleMail{"customer" + std::to_string(number + i) + "@example.org", "Your order",
                              quern::Secret("sesame")},
                   {.tenant = tenant, .tags = {"order:" + std::to_string(number)}});
    if (number % 2 == 0)
      context.then(SampleCall{number}, {.queue = "partner", .max_attempts = 3, .tenant = tenant});
    if (number % 7 == 0)
      context.then(SampleReport{"stock", 10 + number % 30},
                   {.queue = "reports", .priority = quern::Priority::low});
  });
  handlers.on<SampleMail>([](const SampleMail& mail, quern::JobContext& context) {
    context.info("sending", {{"to", mail.to}});
    if (!pause(context, 50ms + std::chrono::milliseconds(context.id().value % 200)))
      return quern::JobResult::cancelled();
    return quern::JobResult::completed({{"accepted", mail.to}});
  });
  handlers.on<SampleReport>([](const SampleReport& report, quern::JobContext& context) {
    for (int page = 0; page < report.pages; ++page) {
      context.progress(page * 100 / report.pages,
                       "page " + std::to_string(page + 1) + " of " + std::to_string(report.pages));
      if (!pause(context, 300ms)) return quern::JobResult::cancelled();
    }
    context.info("written", {{"pages", report.pages}});
    return quern::JobResult::completed({{"pages", report.pages}});
  });
  handlers.on<SampleCall>(
      [](const SampleCall& call, quern::JobContext& context) {
        if (!pause(context, 100ms)) return quern::JobResult::cancelled();
        if (call.order % 5 == 0) return quern::JobResult::failed("no answer from 192.0.2.7 within 100 ms");
        if (call.order % 11 == 0)
          return quern::JobResult::discarded("order " + std::to_string(call.order) + " is not known");
        return quern::JobResult::completed();
      },
      {.retry = quern::RetryPolicy::exponential(5s, 1min)});
}

template <class Scheduler>
void add_sample_schedules(Scheduler& scheduler) {
  using namespace std::chrono_literals;
  scheduler.upsert(quern::schedule_of("visits", {.every = 2s}, SampleVisit{}));
  auto nightly = quern::schedule_of("nightly-report", {.cron = "30 2 * * *", .zone = "Europe/Berlin"},
                                    SampleReport{"sales", 40});
  nightly.queue = "reports";
  scheduler.upsert(nightly);
  scheduler.upsert(quern::schedule_of("stock-check",
                                      {.cron = "*/15 9-17 * * MON-FRI", .zone = "America/New_York"},
                                      SampleReport{"stock", 10}));
}
