#pragma once

#include <array>

namespace quern::inline v1::sqlite {

// The tables of a SqliteStorage. Every name begins with quern_, since the file may be the host's own; the
// version stands in quern_meta, because user_version belongs to the host.
//
// A job's row is written once. Where it stands is derived: it is in a row of completed, in failed, in sched,
// in blocked, in a row of claims (running), or else in a row of ready. What has changed of it since it was
// added is in changed.
//
// Times are microseconds. An id set is packed as in id_runs.hpp, NULL where it is all of first_id to last_id.

/// Version 1.
inline constexpr const char* schema_1 = R"sql(
-- name 'schema': the version; 'next_id', 'next_node': the next one to give away.
CREATE TABLE quern_meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO quern_meta VALUES('schema', 0), ('next_id', 1), ('next_node', 1);

-- Each pair of queue and kind that ever had a job; never deleted.
CREATE TABLE quern_lanes(id INTEGER PRIMARY KEY, queue TEXT NOT NULL, kind TEXT NOT NULL, UNIQUE(queue, kind));

-- Queues that were paused or limited at some time. max_waiting: 0 is no limit.
CREATE TABLE quern_queues(
  name TEXT PRIMARY KEY, paused INTEGER NOT NULL DEFAULT 0, max_waiting INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX quern_queues_paused ON quern_queues(name) WHERE paused = 1;
CREATE INDEX quern_queues_limited ON quern_queues(name, max_waiting) WHERE max_waiting > 0;

-- The jobs as they were added. more: the rare fields, see job_more.hpp.
CREATE TABLE quern_jobs(
  id INTEGER PRIMARY KEY, lane INTEGER NOT NULL, priority INTEGER NOT NULL, max_attempts INTEGER NOT NULL,
  run_at INTEGER NOT NULL, created_at INTEGER NOT NULL, deadline INTEGER, more BLOB, payload BLOB NOT NULL);

-- Of jobs that left the fast path (failed, snoozed, crashed, rescheduled, run again): what is no longer as it was added.
-- While such a job runs, its attempt and epoch are those in claims; after its end those in completed or failed.
CREATE TABLE quern_changed(
  id INTEGER PRIMARY KEY, priority INTEGER NOT NULL, run INTEGER NOT NULL, attempt INTEGER NOT NULL,
  epoch INTEGER NOT NULL, crashes INTEGER NOT NULL, snoozes INTEGER NOT NULL, run_at INTEGER NOT NULL, deadline INTEGER, started_at INTEGER);

-- Sets of ready jobs that share lane, priority and run_at. changed: the set is one job, which has a row in quern_changed.
CREATE TABLE quern_ready(
  lane INTEGER NOT NULL, priority INTEGER NOT NULL, run_at INTEGER NOT NULL, first_id INTEGER NOT NULL,
  last_id INTEGER NOT NULL, changed INTEGER NOT NULL, ids BLOB,
  PRIMARY KEY(lane, priority, run_at, first_id)) WITHOUT ROWID;

CREATE TABLE quern_sched(
  run_at INTEGER NOT NULL, id INTEGER NOT NULL, lane INTEGER NOT NULL, priority INTEGER NOT NULL,
  changed INTEGER NOT NULL, PRIMARY KEY(run_at, id)) WITHOUT ROWID;
CREATE UNIQUE INDEX quern_sched_id ON quern_sched(id);

-- Waiting jobs (blocked, scheduled, ready) that have a deadline.
CREATE TABLE quern_expiry(deadline INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(deadline, id)) WITHOUT ROWID;

-- A blocked job has at least one row in deps: a parent that is not yet resolved. policy: a ParentPolicy.
CREATE TABLE quern_blocked(id INTEGER PRIMARY KEY);
CREATE TABLE quern_deps(
  parent INTEGER NOT NULL, child INTEGER NOT NULL, policy INTEGER NOT NULL, PRIMARY KEY(parent, child)) WITHOUT ROWID;
CREATE INDEX quern_deps_child ON quern_deps(child);

-- One row per claimed batch, until its last job is settled. entries: see claim_book.hpp; settled: a bit per job.
CREATE TABLE quern_claims(
  id INTEGER PRIMARY KEY, node INTEGER NOT NULL, claimed_at INTEGER NOT NULL, settled BLOB NOT NULL,
  entries BLOB NOT NULL);

-- Completed jobs: ranges of ids, no two of which share an id, that have all the rest in common; a job with a result is a
-- range of its own. Rows are only appended, until a job is retried by hand or pruned.
CREATE TABLE quern_completed(
  first_id INTEGER PRIMARY KEY, last_id INTEGER NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL,
  started_at INTEGER, finished_at INTEGER NOT NULL, result BLOB);
CREATE INDEX quern_completed_finished ON quern_completed(finished_at);

-- Dead and cancelled jobs.
CREATE TABLE quern_failed(
  id INTEGER PRIMARY KEY, state INTEGER NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL, started_at INTEGER,
  finished_at INTEGER NOT NULL, dead_reason INTEGER NOT NULL, message TEXT NOT NULL);
CREATE INDEX quern_failed_state ON quern_failed(state);
CREATE INDEX quern_failed_finished ON quern_failed(state, finished_at);

CREATE TABLE quern_errors(
  job INTEGER NOT NULL, epoch INTEGER NOT NULL, attempt INTEGER NOT NULL, at INTEGER NOT NULL, fault INTEGER NOT NULL,
  message TEXT NOT NULL, PRIMARY KEY(job, epoch)) WITHOUT ROWID;
CREATE TABLE quern_steps(id INTEGER PRIMARY KEY, job INTEGER NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
  UNIQUE(job, name));
CREATE TABLE quern_progress(
  id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, percent INTEGER NOT NULL, message TEXT NOT NULL);

-- Running jobs that were asked to stop.
CREATE TABLE quern_cancels(id INTEGER PRIMARY KEY, reason TEXT NOT NULL);

-- Who holds a unique key, and until when at most.
CREATE TABLE quern_unique(key TEXT PRIMARY KEY, id INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;

-- How many jobs of each lane stand in each state; no row: none.
CREATE TABLE quern_counts(
  state INTEGER NOT NULL, lane INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY(state, lane)) WITHOUT ROWID;

-- expires: on the steady clock of that boot. capacity: what it can run, as JSON.
CREATE TABLE quern_nodes(
  id INTEGER PRIMARY KEY, state INTEGER NOT NULL, boot TEXT NOT NULL, expires INTEGER NOT NULL, lease INTEGER NOT NULL,
  started_at INTEGER NOT NULL, name TEXT NOT NULL, host TEXT NOT NULL, process INTEGER NOT NULL,
  capacity TEXT NOT NULL);

CREATE TABLE quern_records(
  id INTEGER PRIMARY KEY, collection TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, UNIQUE(collection, key));
)sql";

/// Version 2: jobs are found by time, lane, tenant and tag, and ended ones by their lane.
inline constexpr const char* schema_2 = R"sql(
-- Instead of quern_counts, with the same columns. Under another name, so that a process of an older quern that
-- has the file open still fails at its next write instead of leaving the tables below untrue.
CREATE TABLE quern_totals(
  state INTEGER NOT NULL, lane INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY(state, lane)) WITHOUT ROWID;
INSERT INTO quern_totals SELECT state, lane, n FROM quern_counts;
DROP TABLE quern_counts;

-- The rules for how many jobs run and start. queue, kind: empty for any; count: 0 for no rate; algorithm: a RateAlgorithm;
-- state: what the rate has let start, see rule_book.cpp.
CREATE TABLE quern_limits(
  name TEXT PRIMARY KEY, queue TEXT NOT NULL, kind TEXT NOT NULL, max_running INTEGER NOT NULL, count INTEGER NOT NULL,
  per INTEGER NOT NULL, algorithm INTEGER NOT NULL, burst INTEGER NOT NULL, state BLOB NOT NULL) WITHOUT ROWID;

-- A zone is 2^size neighbouring ids, with size 8 or 16; ticks and spans are times, see zones.hpp. Each zone that has
-- jobs, and the ticks between which they were created; it may say more than is true.
CREATE TABLE quern_zones(
  size INTEGER NOT NULL, zone INTEGER NOT NULL, earliest INTEGER NOT NULL, latest INTEGER NOT NULL,
  PRIMARY KEY(size, zone)) WITHOUT ROWID;
-- In which zones of size 8 each lane has jobs.
CREATE TABLE quern_lane_zones(
  lane INTEGER NOT NULL, zone INTEGER NOT NULL, PRIMARY KEY(lane, zone)) WITHOUT ROWID;
-- In which zones of size 8 jobs of a lane ended so in a span; some entries are there without need.
CREATE TABLE quern_ended(
  state INTEGER NOT NULL, lane INTEGER NOT NULL, span INTEGER NOT NULL, zone INTEGER NOT NULL,
  PRIMARY KEY(state, lane, span, zone)) WITHOUT ROWID;
DROP INDEX quern_completed_finished;
DROP INDEX quern_failed_finished;

-- The tenants (type 1) and tags (type 2) of jobs, and which jobs have them. None without a job.
CREATE TABLE quern_labels(id INTEGER PRIMARY KEY, type INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE(type, name));
CREATE TABLE quern_labelled(
  label INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(label, id)) WITHOUT ROWID;
)sql";

/// Entry n leads from version n to version n + 1. Only grows. What SQL can't do, `migrate` adds.
inline constexpr std::array<const char*, 2> migrations{schema_1, schema_2};
inline constexpr int schema_version = static_cast<int>(migrations.size());

/// Marks files that hold nothing but quern's tables ("qurn").
inline constexpr int application_id = 0x7175726E;

}  // namespace quern::inline v1::sqlite
