#include "storage/postgres/impl.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "storage/postgres/schema.hpp"

namespace quern::inline v1 {

using postgres::Connection;
using postgres::ConnectionLost;
using postgres::SqlError;

namespace {

const postgres::Statement next_origin{
    "SELECT nextval('@.origin'), (SELECT value FROM @.meta WHERE name = 'store')"};
const postgres::Statement lane_of{"SELECT @.lane_of($1, $2)"};
const postgres::Statement lane_names_of{"SELECT queue, kind FROM @.lane WHERE id = $1"};
const postgres::Statement fold_counts{"SELECT @.fold()"};
const postgres::Statement snapshot_now{"SELECT pg_current_snapshot()::text"};

void check_duration(const char* field, Duration value, Duration least, Duration most) {
  if (value < least || value > most)
    throw InvalidArgument(
        field, fmt::format("is {}, allowed are {} to {}", to_text(value), to_text(least), to_text(most)));
}

/// "postgres://host:port/database schema", of an address that libpq understands.
std::string name_of(const std::string& address, const std::string& schema) {
  char* problem = nullptr;
  PQconninfoOption* const options = PQconninfoParse(address.c_str(), &problem);
  if (options == nullptr) {
    PQfreemem(problem);  // it may show the password
    throw InvalidArgument("address",
                          "is not a PostgreSQL connection string, like \"postgresql://host/database\"");
  }
  std::string host = "localhost";
  std::string port = "5432";
  std::string database;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    const std::string_view keyword = option->keyword;
    if (option->val == nullptr || *option->val == '\0') continue;
    if (keyword == "host") host = option->val;
    if (keyword == "port") port = option->val;
    if (keyword == "dbname") database = option->val;
  }
  PQconninfoFree(options);
  return fmt::format("postgres://{}:{}/{} {}", host, port, database, schema);
}

postgres::Server server_of(std::string address, const PostgresOptions& options) {
  using namespace std::chrono_literals;
  postgres::check_schema_name(options.schema);
  if (options.connections < 1 || options.connections > 1000)
    throw InvalidArgument("connections", fmt::format("is {}, allowed are 1 to 1000", options.connections));
  check_duration("connect_timeout", options.connect_timeout, 100ms, 1h);
  check_duration("call_timeout", options.call_timeout, 100ms, 1h);
  check_duration("lock_timeout", options.lock_timeout, 10ms, 1h);
  check_duration("insert_patience", options.insert_patience, 0ms, 24h);
  check_duration("change_poll", options.change_poll, 0ms, 1h);
  std::string name = name_of(address, options.schema);
  return {.address = std::move(address),
          .name = std::move(name),
          .schema = options.schema,
          .pooled = options.pooled,
          .connect_timeout = options.connect_timeout,
          .call_timeout = options.call_timeout,
          .lock_timeout = options.lock_timeout};
}

}  // namespace

PostgresStorage::Impl::Impl(std::string address, PostgresOptions options)
    : options_(std::move(options)),
      pool_(server_of(std::move(address), options_), static_cast<std::size_t>(options_.connections)),
      known_due_us_(std::numeric_limits<std::int64_t>::max()),
      jitter_(Random::entropy()) {
  const SteadyTime until = deadline();
  {
    const auto connection = pool_.take(until);
    postgres::prepare_schema(*connection.operator->(), pool_.server(), options_.migrate, until);
  }
  const Result origin = read(next_origin, {});
  origin_ = origin.number(0, 0);
  store_ = origin.number(0, 1);
  seen_snapshot_ = read(snapshot_now, {}).string(0, 0);
}

PostgresStorage::Impl::~Impl() = default;

SteadyTime PostgresStorage::Impl::deadline() const { return SystemClock().steady() + options_.call_timeout; }

PostgresStorage::Impl::Answer PostgresStorage::Impl::call(const Statement& statement, const Params& params,
                                                          Again again) {
  return call(statement, params, again, deadline());
}

PostgresStorage::Impl::Answer PostgresStorage::Impl::call(const Statement& statement, const Params& params,
                                                          Again again, SteadyTime until) {
  constexpr int most_conflicts = 20;
  const bool patient = again == Again::patient && options_.insert_patience > Duration::zero();
  const SteadyTime repeat_until = patient ? SystemClock().steady() + options_.insert_patience : until;
  bool repeated = false;
  for (int conflicts = 0;;) {
    try {
      if (patient) until = deadline();  // an attempt may take its time, whenever it begins
      const auto connection = pool_.take(until);
      return {connection->run(statement, params, until), repeated};
    } catch (const SqlError& e) {
      // Rolled back as a whole, so it is as if it had never been sent.
      if (!e.repeatable() || ++conflicts >= most_conflicts) throw;
    } catch (const ConnectionLost& e) {
      // One that was never sent is for the caller's patience.
      if (again == Again::never || (!e.sent() && !repeated) || SystemClock().steady() >= repeat_until) throw;
      pool_.wait_for_turn(repeat_until);
      repeated = true;
    }
  }
}

PostgresStorage::Impl::Params PostgresStorage::Impl::context(bool events) const {
  Params params;
  if (options_.clock)
    params.add(to_us(options_.clock->now()));
  else
    params.null();
  params.add(origin_).add(events);
  return params;
}

void PostgresStorage::Impl::add_steady(Params& params) const {
  if (options_.clock) {
    params.add(options_.clock->boot_id()).add(options_.clock->steady().count());
  } else {
    params.add("").null();
  }
}

PostgresStorage::Impl::Change::Change(Impl& impl) : impl_(impl), events_(impl.wants_events()) {
  if (events_) order_ = std::unique_lock(impl.order_mutex_);
}

PostgresStorage::Impl::Answer PostgresStorage::Impl::Change::run(
    const Statement& statement, const Params& params, Again again,
    const std::function<void(const Result&, int)>& result) {
  Answer answer = impl_.call(statement, params, again);
  take(answer.rows, result);
  return answer;
}

void PostgresStorage::Impl::Change::take(const Result& rows,
                                         const std::function<void(const Result&, int)>& result) {
  const auto names = [&](int lane) { return impl_.lane_names(lane); };
  for (int row = 0; row < rows.rows(); ++row) {
    if (!effects_.take(rows, row, names)) result(rows, row);
  }
}

void PostgresStorage::Impl::Change::tell() {
  // Whoever waits for the next due time must hear of one that is earlier than what was known.
  auto known = impl_.known_due_us_.load();
  const auto earliest = to_us(effects_.earliest);
  while (earliest < known && !impl_.known_due_us_.compare_exchange_weak(known, earliest)) {
  }
  const bool sooner = earliest < known;
  {
    const std::lock_guard lock(impl_.observers_mutex_);
    for (StorageObserver* const observer : impl_.observers_) {
      if (!effects_.events.empty() && observer->wants_events()) observer->on_events(effects_.events);
      if (!effects_.asked_to_stop.empty()) observer->on_cancel(effects_.asked_to_stop);
      if (sooner)
        observer->on_work();
      else if (effects_.ready)
        observer->on_ready();
    }
  }
  effects_ = {};
  if (order_.owns_lock()) order_.unlock();
  impl_.fold();
}

bool PostgresStorage::Impl::wants_events() const {
  const std::lock_guard lock(observers_mutex_);
  return std::ranges::any_of(observers_,
                             [](const StorageObserver* observer) { return observer->wants_events(); });
}

void PostgresStorage::Impl::observe(StorageObserver& observer) {
  {
    const std::lock_guard lock(observers_mutex_);
    observers_.push_back(&observer);
  }
  listen_if_wanted();
}

void PostgresStorage::Impl::unobserve(StorageObserver& observer) {
  {
    const std::lock_guard lock(observers_mutex_);
    std::erase(observers_, &observer);
  }
  listen_if_wanted();
}

int PostgresStorage::Impl::lane_number(const std::string& queue, const std::string& kind) {
  if (const auto known = lanes_.number(queue, kind)) return *known;
  // In a transaction of its own, which keeps nobody waiting and is not undone with the job's.
  const int lane = call(lane_of, Params().add(queue).add(kind), Again::patient).rows.small(0, 0);
  lanes_.learn(lane, queue, kind);
  return lane;
}

postgres::Lanes::Names PostgresStorage::Impl::lane_names(int lane) {
  if (const auto* known = lanes_.names(lane)) return *known;
  const Result row = read(lane_names_of, Params().add(lane));
  if (row.rows() == 0) return {fmt::format("(lane {}, which is missing)", lane), {}};
  lanes_.learn(lane, row.string(0, 0), row.string(0, 1));
  return *lanes_.names(lane);
}

void PostgresStorage::Impl::fold() {
  constexpr Duration pause = std::chrono::seconds(1);
  const auto now = SystemClock().steady().count();
  auto before = folded_at_us_.load();
  if (now - before < pause.count() || !folded_at_us_.compare_exchange_strong(before, now)) return;
  try {
    call(fold_counts, {}, Again::safe);
  } catch (const StorageError&) {
    return;  // the call that it followed has done its work; the next one adds up what this one did not
  }
}

ClockRef PostgresStorage::Impl::clock() const {
  return options_.clock ? *options_.clock : ClockRef(pool_.clock());
}

}  // namespace quern::inline v1
