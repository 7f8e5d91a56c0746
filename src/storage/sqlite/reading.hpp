#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/storage/job_image.hpp"
#include "quern/storage/requests.hpp"
#include "storage/sqlite/connection.hpp"

// The operations of job_store.hpp that change nothing, each inside a read transaction that somebody else
// begins.

namespace quern::inline v1::sqlite {

// find.cpp
std::vector<std::optional<Job>> find(Connection& db, std::span<const JobId> ids);

// list.cpp
JobPage list(Connection& db, const JobFilter& filter);

// recount.cpp
std::vector<CountFault> recount(Connection& db);

// lookups.cpp
std::vector<JobCount> count(Connection& db);
std::vector<ReadyAge> oldest_ready(Connection& db, TimePoint now);
std::vector<Step> steps(Connection& db, JobId id);
std::vector<JobId> cancel_requests(Connection& db, NodeId node);
std::vector<NodeStatus> nodes(Connection& db, const ClockRef& clock);
std::vector<QueueStatus> queues(Connection& db);
std::optional<JobId> key_holder(Connection& db, const std::string& key, TimePoint now);
std::optional<Payload> get_record(Connection& db, std::string_view collection, std::string_view key);
std::vector<Record> read_records(Connection& db, const RecordKey& after, std::size_t limit);
std::vector<Record> list_records(Connection& db, std::string_view collection, std::string_view after,
                                 std::size_t limit);

}  // namespace quern::inline v1::sqlite
