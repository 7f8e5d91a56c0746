#include "quern/work/handler_registry.hpp"

#include <fmt/format.h>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#if defined(__linux__)
#include "isolation_server.hpp"
#endif

namespace quern::inline v1 {
namespace {

void check(std::string_view kind, const HandlerOptions& options) {
  const JobLimits limits;
  if (kind.empty()) throw InvalidArgument("kind", "is empty; a kind needs a name");
  check_text(kind, "kind", limits.name_bytes);
  const auto fault = [&](std::string_view field, const std::string& problem) {
    throw InvalidArgument(fmt::format("handlers[{}].{}", kind, field), problem);
  };
  if (options.timeout < Duration::zero() || options.timeout > limits.max_timeout)
    fault("timeout", fmt::format("is {}; allowed is up to {}, or 0 for the configured one",
                                 to_text(options.timeout), to_text(limits.max_timeout)));
  if (options.max_attempts < 0 || options.max_attempts > limits.max_attempts)
    fault("max_attempts", fmt::format("is {}; allowed is 1 to {}, or 0 for the configured number",
                                      options.max_attempts, limits.max_attempts));
  if (options.concurrency < 0)
    fault("concurrency", fmt::format("is {}; allowed is 1 or more, or 0 for no limit", options.concurrency));
  const auto check_duration = [&](std::string_view field, Duration value, Duration longest) {
    if (value < Duration::zero() || value > longest)
      fault(field, fmt::format("is {}; allowed is 0s to {}", to_text(value), to_text(longest)));
  };
  check_duration("limits.cpu_time", options.limits.cpu_time, limits.max_timeout);
  check_duration("limits.stop_grace", options.limits.stop_grace, std::chrono::hours(1));
  constexpr std::uint64_t least_memory = std::uint64_t{1} << 20U;
  constexpr std::uint64_t most_memory = std::uint64_t{1} << 46U;
  if (options.limits.memory_bytes != 0 &&
      (options.limits.memory_bytes < least_memory || options.limits.memory_bytes > most_memory))
    fault("limits.memory_bytes", fmt::format("is {}; allowed is {} to {}, or 0 for no limit",
                                             options.limits.memory_bytes, least_memory, most_memory));
  if (!options.queue.empty())
    check_text(options.queue, fmt::format("handlers[{}].queue", kind), limits.name_bytes);
}

}  // namespace

HandlerRegistry& HandlerRegistry::add(std::string_view kind, Handler handler, HandlerOptions options,
                                      decltype(Entry::secrets) secrets) {
  check(kind, options);
  if (fork_server_ != nullptr && options.isolation == Isolation::process)
    throw InvalidArgument(fmt::format("handlers[{}].isolation", kind),
                          "is `process`, and isolation was started before: it knows no later handler");
  const auto [place, added] =
      entries_.try_emplace(std::string(kind), Entry{std::move(handler), std::move(options), secrets});
  if (!added) throw InvalidArgument("kind", fmt::format("\"{}\" has a handler already", kind));
  return *this;
}

HandlerRegistry& HandlerRegistry::use(Middleware middleware) {
  if (fork_server_ != nullptr)
    throw InvalidArgument("middleware",
                          "is added after isolation was started: isolated handlers would go without it");
  middleware_.push_back(std::move(middleware));
  return *this;
}

HandlerRegistry& HandlerRegistry::start_isolation(IsolationOptions options) {
  if (fork_server_ != nullptr) throw InvalidArgument("isolation", "was started already");
  constexpr int most_ready = 64;
  if (options.ready < 0 || options.ready > most_ready)
    throw InvalidArgument("isolation.ready",
                          fmt::format("is {}; allowed is 0 to {}", options.ready, most_ready));
#if defined(__linux__)
  fork_server_ = std::make_shared<detail::ForkServer>(*this, std::move(options));
#else
  throw InvalidArgument("isolation", "needs Linux");
#endif
  return *this;
}

const HandlerRegistry::Entry* HandlerRegistry::find(std::string_view kind) const noexcept {
  const auto found = entries_.find(kind);
  return found == entries_.end() ? nullptr : &found->second;
}

JobResult HandlerRegistry::run(const Entry& entry, JobContext& context) const {
  try {
    if (middleware_.empty()) return entry.handler(context);
    std::function<JobResult(std::size_t)> layer = [&](std::size_t depth) {
      if (depth == middleware_.size()) return entry.handler(context);
      return middleware_[depth](context, [&, depth] { return layer(depth + 1); });
    };
    return layer(0);
  } catch (const RunLost&) {
    throw;
  } catch (const std::exception& e) {
    return JobResult::failed(e.what());
  } catch (...) {
    return JobResult::failed("the handler threw something that is no std::exception");
  }
}

}  // namespace quern::inline v1
