#include "quern/work/handler_registry.hpp"

#include <fmt/format.h>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"

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
  if (!options.queue.empty())
    check_text(options.queue, fmt::format("handlers[{}].queue", kind), limits.name_bytes);
}

}  // namespace

HandlerRegistry& HandlerRegistry::add(std::string_view kind, Handler handler, HandlerOptions options) {
  check(kind, options);
  const auto [place, added] =
      entries_.try_emplace(std::string(kind), Entry{std::move(handler), std::move(options)});
  if (!added) throw InvalidArgument("kind", fmt::format("\"{}\" has a handler already", kind));
  return *this;
}

HandlerRegistry& HandlerRegistry::use(Middleware middleware) {
  middleware_.push_back(std::move(middleware));
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
