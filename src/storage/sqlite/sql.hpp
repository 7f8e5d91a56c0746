#pragma once

#include "storage/sqlite/connection.hpp"

// What the writing operations run. Each statement has its plan above it, as EXPLAIN QUERY PLAN of SQLite 3.40
// gives it (INSERTs by key have none); tests/storage/sqlite_plans.test.cpp checks that none walks a table
// that grows with the jobs or sorts. "Small": the table has a row per lane, queue, node or claimed batch.

namespace quern::inline v1::sqlite::sql {

// --- transactions

inline constexpr Statement begin{"begin", "BEGIN IMMEDIATE"};
inline constexpr Statement commit{"commit", "COMMIT"};
inline constexpr Statement rollback{"rollback", "ROLLBACK"};
inline constexpr Statement savepoint{"savepoint", "SAVEPOINT quern_insert"};
inline constexpr Statement release_savepoint{"release_savepoint", "RELEASE quern_insert"};
inline constexpr Statement undo_savepoint{"undo_savepoint", "ROLLBACK TO quern_insert"};
inline constexpr Statement data_version{"data_version", "PRAGMA data_version"};

// --- meta

// SEARCH quern_meta USING PRIMARY KEY (name=?)
inline constexpr Statement meta{"meta", "SELECT value FROM quern_meta WHERE name = ?1"};
// SEARCH quern_meta USING PRIMARY KEY (name=?)
inline constexpr Statement set_meta{"set_meta", "UPDATE quern_meta SET value = ?2 WHERE name = ?1"};

inline constexpr Statement put_meta{"put_meta",
                                    "INSERT INTO quern_meta(name, value) VALUES(?1, ?2) ON CONFLICT(name) DO "
                                    "UPDATE SET value = excluded.value"};

// --- lanes and queues

// SEARCH quern_lanes USING COVERING INDEX sqlite_autoindex_quern_lanes_1 (queue=? AND kind=?)
inline constexpr Statement find_lane{"find_lane",
                                     "SELECT id FROM quern_lanes WHERE queue = ?1 AND kind = ?2"};
inline constexpr Statement add_lane{"add_lane", "INSERT INTO quern_lanes(queue, kind) VALUES(?1, ?2)"};
// SEARCH quern_lanes USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement name_lane{"name_lane", "SELECT queue, kind FROM quern_lanes WHERE id = ?1"};
inline constexpr Statement pause_queue{
    "pause_queue",
    "INSERT INTO quern_queues(name, paused) VALUES(?1, 1) ON CONFLICT(name) DO UPDATE SET paused = 1"};
inline constexpr Statement limit_queue{"limit_queue",
                                       "INSERT INTO quern_queues(name, max_waiting) VALUES(?1, ?2) "
                                       "ON CONFLICT(name) DO UPDATE SET max_waiting = excluded.max_waiting"};
inline constexpr Statement put_queue{
    "put_queue",
    "INSERT INTO quern_queues(name, paused, max_waiting) VALUES(?1, ?2, ?3) "
    "ON CONFLICT(name) DO UPDATE SET paused = excluded.paused, max_waiting = excluded.max_waiting"};
// SEARCH quern_queues USING COVERING INDEX quern_queues_limited, which holds the limited ones alone
inline constexpr Statement limited_queues{"limited_queues",
                                          "SELECT name, max_waiting FROM quern_queues WHERE max_waiting > 0"};
// SEARCH l USING COVERING INDEX sqlite_autoindex_quern_lanes_1 (queue=?); SEARCH c USING PRIMARY KEY
// (state=? AND lane=?)
inline constexpr Statement waiting_in_queue{
    "waiting_in_queue",
    "SELECT sum(c.n) FROM quern_lanes l CROSS JOIN quern_totals c ON c.lane = l.id AND c.state IN (1, 2, 3) "
    "WHERE l.queue = ?1"};
// SEARCH quern_queues USING PRIMARY KEY (name=?)
inline constexpr Statement resume_queue{"resume_queue", "UPDATE quern_queues SET paused = 0 WHERE name = ?1"};
// SCAN quern_queues USING INDEX quern_queues_paused, which holds the paused ones alone
inline constexpr Statement paused_queues{"paused_queues", "SELECT name FROM quern_queues WHERE paused = 1"};

// --- counts

// The lanes with ready jobs. SEARCH quern_totals USING PRIMARY KEY (state=?)
inline constexpr Statement lanes_in_state{"lanes_in_state",
                                          "SELECT lane, n FROM quern_totals WHERE state = ?1"};
inline constexpr Statement add_count{"add_count",
                                     "INSERT INTO quern_totals(state, lane, n) VALUES(?1, ?2, ?3) ON "
                                     "CONFLICT(state, lane) DO UPDATE SET n = n + ?3"};
// SEARCH quern_totals USING PRIMARY KEY (state=? AND lane=?)
inline constexpr Statement drop_zero_count{
    "drop_zero_count", "DELETE FROM quern_totals WHERE state = ?1 AND lane = ?2 AND n = 0"};

// --- limits

// Small: SCAN quern_limits.
inline constexpr Statement all_limits{"all_limits",
                                      "SELECT name, queue, kind, max_running, count, per, algorithm, burst, "
                                      "state FROM quern_limits ORDER BY name"};
// SEARCH quern_limits USING PRIMARY KEY (name=?)
inline constexpr Statement find_limit{"find_limit",
                                      "SELECT name, queue, kind, max_running, count, per, algorithm, burst, "
                                      "state FROM quern_limits WHERE name = ?1"};
// Small: SCAN quern_limits.
inline constexpr Statement count_limits{"count_limits", "SELECT count(*) FROM quern_limits"};
inline constexpr Statement put_limit{"put_limit",
                                     "INSERT OR REPLACE INTO quern_limits(name, queue, kind, max_running, "
                                     "count, per, algorithm, burst, state) "
                                     "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"};
// SEARCH quern_limits USING PRIMARY KEY (name=?)
inline constexpr Statement set_limit_state{"set_limit_state",
                                           "UPDATE quern_limits SET state = ?2 WHERE name = ?1"};
// SEARCH quern_limits USING PRIMARY KEY (name=?)
inline constexpr Statement delete_limit{"delete_limit", "DELETE FROM quern_limits WHERE name = ?1"};

// --- jobs

inline constexpr Statement add_job{
    "add_job",
    "INSERT INTO quern_jobs(id, lane, priority, max_attempts, run_at, created_at, deadline, more, payload) "
    "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT(id) DO NOTHING"};
// SEARCH quern_jobs USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement has_job{"has_job", "SELECT 1 FROM quern_jobs WHERE id = ?1"};
// Whether a parent exists, and how it ended.
// SEARCH j, f, d USING INTEGER PRIMARY KEY (rowid=?); for d, SEARCH quern_completed USING INTEGER PRIMARY KEY
// (rowid<?)
inline constexpr Statement parent_state{
    "parent_state",
    "SELECT CASE WHEN d.first_id IS NOT NULL THEN 5 ELSE f.state END FROM quern_jobs j "
    "LEFT JOIN quern_failed f ON f.id = j.id LEFT JOIN quern_completed d ON d.last_id >= j.id AND "
    "d.first_id = (SELECT max(first_id) FROM quern_completed WHERE first_id <= j.id) WHERE j.id = ?1"};
// What a claim hands out. SEARCH quern_jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
inline constexpr Statement claimed_jobs{"claimed_jobs",
                                        "SELECT id, lane, max_attempts, created_at, deadline, more, payload "
                                        "FROM quern_jobs WHERE id BETWEEN ?1 AND ?2"};
// Where a job stands and what is to be known to move it.
// SEARCH j, c, f, b, d USING INTEGER PRIMARY KEY (rowid=?); SEARCH s USING COVERING INDEX quern_sched_id
// (id=?); for d, SEARCH quern_completed USING INTEGER PRIMARY KEY (rowid<?)
inline constexpr Statement locate_job{
    "locate_job",
    "SELECT j.lane, coalesce(c.priority, j.priority), j.max_attempts, j.created_at, j.more, j.run_at, "
    "j.deadline, c.id, c.run, c.attempt, c.epoch, c.crashes, c.snoozes, c.run_at, c.deadline, c.started_at, "
    "d.first_id, d.attempt, d.epoch, d.started_at, f.state, f.attempt, f.epoch, f.started_at, s.id, b.id "
    "FROM quern_jobs j LEFT JOIN quern_changed c ON c.id = j.id LEFT JOIN quern_failed f ON f.id = j.id "
    "LEFT JOIN quern_sched s ON s.id = j.id LEFT JOIN quern_blocked b ON b.id = j.id "
    "LEFT JOIN quern_completed d ON d.last_id >= j.id AND "
    "d.first_id = (SELECT max(first_id) FROM quern_completed WHERE first_id <= j.id) WHERE j.id = ?1"};
// SEARCH quern_jobs USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement more_of_job{"more_of_job", "SELECT more FROM quern_jobs WHERE id = ?1"};
// Makes a record that can't be read one that can: what it was stays as far as it is there.
inline constexpr Statement mend_job{
    "mend_job",
    "INSERT INTO quern_jobs(id, lane, priority, max_attempts, run_at, created_at, payload) "
    "VALUES(?1, ?2, ?3, 0, ?4, ?4, CAST('null' AS BLOB)) "
    "ON CONFLICT(id) DO UPDATE SET lane = excluded.lane, priority = excluded.priority, run_at = "
    "excluded.run_at"};
// SEARCH quern_jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
inline constexpr Statement doomed_jobs{"doomed_jobs",
                                       "SELECT id, lane, more FROM quern_jobs WHERE id BETWEEN ?1 AND ?2"};
// SEARCH quern_jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
inline constexpr Statement delete_jobs{"delete_jobs", "DELETE FROM quern_jobs WHERE id BETWEEN ?1 AND ?2"};

// --- changed

inline constexpr Statement set_changed{"set_changed",
                                       "INSERT OR REPLACE INTO quern_changed(id, priority, run, attempt, "
                                       "epoch, crashes, snoozes, run_at, deadline, started_at) "
                                       "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"};
// SEARCH quern_changed USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement changed{
    "changed", "SELECT run, attempt, epoch, deadline, started_at FROM quern_changed WHERE id = ?1"};
// SEARCH quern_changed USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
inline constexpr Statement delete_changed{"delete_changed",
                                          "DELETE FROM quern_changed WHERE id BETWEEN ?1 AND ?2"};

// --- ready

inline constexpr Statement add_ready{"add_ready",
                                     "INSERT INTO quern_ready(lane, priority, run_at, first_id, last_id, "
                                     "changed, ids) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"};
// The next rows of a lane, beyond (?2, ?3, ?4).
// SEARCH quern_ready USING PRIMARY KEY (lane=? AND (priority,run_at,first_id)>(?,?,?))
inline constexpr Statement next_ready{
    "next_ready",
    "SELECT priority, run_at, first_id, last_id, changed, ids FROM quern_ready "
    "WHERE lane = ?1 AND (priority, run_at, first_id) > (?2, ?3, ?4) ORDER BY priority, run_at, first_id "
    "LIMIT ?5"};
// What a claim has used up: the rows of a lane up to (?2, ?3, ?4).
// SEARCH quern_ready USING PRIMARY KEY (lane=? AND (priority,run_at,first_id)<(?,?,?))
inline constexpr Statement delete_ready_prefix{
    "delete_ready_prefix",
    "DELETE FROM quern_ready WHERE lane = ?1 AND (priority, run_at, first_id) <= (?2, ?3, ?4)"};
// The lane's next priority above ?2.
// SEARCH quern_ready USING PRIMARY KEY (lane=? AND priority>?)
inline constexpr Statement next_priority{
    "next_priority",
    "SELECT priority FROM quern_ready WHERE lane = ?1 AND priority > ?2 ORDER BY priority LIMIT 1"};
// The same two for one priority alone.
// SEARCH quern_ready USING PRIMARY KEY (lane=? AND priority=? AND (run_at,first_id)>(?,?))
inline constexpr Statement next_ready_of_priority{
    "next_ready_of_priority",
    "SELECT priority, run_at, first_id, last_id, changed, ids FROM quern_ready "
    "WHERE lane = ?1 AND priority = ?2 AND (run_at, first_id) > (?3, ?4) ORDER BY run_at, first_id LIMIT ?5"};
// SEARCH quern_ready USING PRIMARY KEY (lane=? AND priority=? AND (run_at,first_id)<(?,?))
inline constexpr Statement delete_priority_prefix{
    "delete_priority_prefix",
    "DELETE FROM quern_ready WHERE lane = ?1 AND priority = ?2 AND (run_at, first_id) <= (?3, ?4)"};
// The rows that may hold a job, likeliest first.
// SEARCH quern_ready USING PRIMARY KEY (lane=? AND priority=? AND run_at=? AND first_id<?)
inline constexpr Statement ready_with{
    "ready_with",
    "SELECT first_id, last_id, ids FROM quern_ready "
    "WHERE lane = ?1 AND priority = ?2 AND run_at = ?3 AND first_id <= ?4 ORDER BY first_id DESC"};
// SEARCH quern_ready USING PRIMARY KEY (lane=? AND priority=? AND run_at=? AND first_id=?)
inline constexpr Statement delete_ready{
    "delete_ready",
    "DELETE FROM quern_ready WHERE lane = ?1 AND priority = ?2 AND run_at = ?3 AND first_id = ?4"};

// --- sched and expiry

inline constexpr Statement add_sched{
    "add_sched", "INSERT INTO quern_sched(run_at, id, lane, priority, changed) VALUES(?1, ?2, ?3, ?4, ?5)"};
// SEARCH quern_sched USING PRIMARY KEY (run_at<?)
inline constexpr Statement due_sched{"due_sched",
                                     "SELECT run_at, id, lane, priority, changed FROM quern_sched WHERE "
                                     "run_at <= ?1 ORDER BY run_at, id LIMIT ?2"};
// SEARCH quern_sched USING PRIMARY KEY ((run_at,id)<(?,?))
inline constexpr Statement delete_sched_prefix{"delete_sched_prefix",
                                               "DELETE FROM quern_sched WHERE (run_at, id) <= (?1, ?2)"};
// SEARCH quern_sched USING COVERING INDEX quern_sched_id (id=?)
inline constexpr Statement delete_sched{"delete_sched",
                                        "DELETE FROM quern_sched WHERE run_at = ?1 AND id = ?2"};
// One step: SCAN quern_sched, in the order of its key, LIMIT 1.
inline constexpr Statement first_sched{"first_sched",
                                       "SELECT run_at FROM quern_sched ORDER BY run_at, id LIMIT 1"};

inline constexpr Statement add_expiry{"add_expiry",
                                      "INSERT OR IGNORE INTO quern_expiry(deadline, id) VALUES(?1, ?2)"};
// SEARCH quern_expiry USING PRIMARY KEY (deadline=? AND id=?)
inline constexpr Statement delete_expiry{"delete_expiry",
                                         "DELETE FROM quern_expiry WHERE deadline = ?1 AND id = ?2"};
// SEARCH quern_expiry USING PRIMARY KEY (deadline<?)
inline constexpr Statement due_expiry{
    "due_expiry",
    "SELECT deadline, id FROM quern_expiry WHERE deadline <= ?1 ORDER BY deadline, id LIMIT ?2"};
// One step: SCAN quern_expiry, in the order of its key, LIMIT 1.
inline constexpr Statement first_expiry{"first_expiry",
                                        "SELECT deadline FROM quern_expiry ORDER BY deadline, id LIMIT 1"};

// --- blocked and deps

inline constexpr Statement add_blocked{"add_blocked", "INSERT INTO quern_blocked(id) VALUES(?1)"};
// SEARCH quern_blocked USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement delete_blocked{"delete_blocked", "DELETE FROM quern_blocked WHERE id = ?1"};
inline constexpr Statement add_dep{"add_dep",
                                   "INSERT INTO quern_deps(parent, child, policy) VALUES(?1, ?2, ?3)"};
// SEARCH quern_deps USING PRIMARY KEY (parent=?)
inline constexpr Statement children{"children",
                                    "SELECT child, policy FROM quern_deps WHERE parent = ?1 ORDER BY child"};
// SEARCH quern_deps USING PRIMARY KEY (parent=?)
inline constexpr Statement has_children{"has_children", "SELECT 1 FROM quern_deps WHERE parent = ?1 LIMIT 1"};
// SEARCH quern_deps USING COVERING INDEX quern_deps_child (child=?)
inline constexpr Statement waits{"waits", "SELECT 1 FROM quern_deps WHERE child = ?1 LIMIT 1"};
// SEARCH quern_deps USING PRIMARY KEY (parent=? AND child=?)
inline constexpr Statement delete_dep{"delete_dep",
                                      "DELETE FROM quern_deps WHERE parent = ?1 AND child = ?2"};
// SEARCH quern_deps USING COVERING INDEX quern_deps_child (child=?)
inline constexpr Statement delete_deps_of{"delete_deps_of", "DELETE FROM quern_deps WHERE child = ?1"};

// --- claims

inline constexpr Statement add_claim{
    "add_claim", "INSERT INTO quern_claims(node, claimed_at, settled, entries) VALUES(?1, ?2, ?3, ?4)"};
// SEARCH quern_claims USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement claim_row{
    "claim_row", "SELECT node, claimed_at, settled, entries FROM quern_claims WHERE id = ?1"};
// Small: SCAN quern_claims.
inline constexpr Statement all_claims{"all_claims",
                                      "SELECT id, node, claimed_at, settled, entries FROM quern_claims"};
// SEARCH quern_claims USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement set_settled{"set_settled", "UPDATE quern_claims SET settled = ?2 WHERE id = ?1"};
// SEARCH quern_claims USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement delete_claim{"delete_claim", "DELETE FROM quern_claims WHERE id = ?1"};
// Small: SCAN quern_claims.
inline constexpr Statement node_holds{"node_holds", "SELECT 1 FROM quern_claims WHERE node = ?1 LIMIT 1"};

// --- completed and failed

inline constexpr Statement add_completed{
    "add_completed",
    "INSERT INTO quern_completed(first_id, last_id, attempt, epoch, started_at, finished_at, result) "
    "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"};
// The range that holds a job, if it holds it. SEARCH quern_completed USING INTEGER PRIMARY KEY (rowid<?)
inline constexpr Statement completed_with{"completed_with",
                                          "SELECT first_id, last_id, attempt, epoch, started_at, finished_at "
                                          "FROM quern_completed WHERE first_id <= ?1 "
                                          "ORDER BY first_id DESC LIMIT 1"};
// SEARCH quern_completed USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement delete_completed{"delete_completed",
                                            "DELETE FROM quern_completed WHERE first_id = ?1"};

inline constexpr Statement add_failed{
    "add_failed",
    "INSERT INTO quern_failed(id, state, attempt, epoch, started_at, finished_at, dead_reason, message) "
    "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"};
// SEARCH quern_failed USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement delete_failed{"delete_failed", "DELETE FROM quern_failed WHERE id = ?1"};

// --- errors, steps, progress, cancels

inline constexpr Statement add_error{"add_error",
                                     "INSERT OR REPLACE INTO quern_errors(job, epoch, attempt, at, fault, "
                                     "message) VALUES(?1, ?2, ?3, ?4, ?5, ?6)"};
// Keeps the last ?2. SEARCH quern_errors USING PRIMARY KEY (job=? AND epoch<?), and (job=?) for the subquery
inline constexpr Statement trim_errors{
    "trim_errors",
    "DELETE FROM quern_errors WHERE job = ?1 AND epoch <= "
    "(SELECT epoch FROM quern_errors WHERE job = ?1 ORDER BY epoch DESC LIMIT 1 OFFSET ?2)"};
// SEARCH quern_errors USING PRIMARY KEY (job>? AND job<?)
inline constexpr Statement delete_errors{"delete_errors",
                                         "DELETE FROM quern_errors WHERE job BETWEEN ?1 AND ?2"};

inline constexpr Statement add_step{
    "add_step",
    "INSERT INTO quern_steps(job, name, value) VALUES(?1, ?2, ?3) ON CONFLICT(job, name) DO NOTHING"};
// SEARCH quern_steps USING INDEX sqlite_autoindex_quern_steps_1 (job>? AND job<?)
inline constexpr Statement delete_steps{"delete_steps",
                                        "DELETE FROM quern_steps WHERE job BETWEEN ?1 AND ?2"};

// A new epoch begins at its own first value; within an epoch the larger one stays.
inline constexpr Statement set_progress{
    "set_progress",
    "INSERT INTO quern_progress(id, epoch, percent, message) VALUES(?1, ?2, ?3, ?4) ON CONFLICT(id) DO "
    "UPDATE SET "
    "percent = CASE WHEN epoch = excluded.epoch THEN max(percent, excluded.percent) ELSE excluded.percent "
    "END, "
    "epoch = excluded.epoch, message = excluded.message RETURNING percent"};
// SEARCH quern_progress USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
inline constexpr Statement delete_progress{"delete_progress",
                                           "DELETE FROM quern_progress WHERE id BETWEEN ?1 AND ?2"};

inline constexpr Statement add_cancel{"add_cancel",
                                      "INSERT OR IGNORE INTO quern_cancels(id, reason) VALUES(?1, ?2)"};
// SEARCH quern_cancels USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement cancel_reason{"cancel_reason", "SELECT reason FROM quern_cancels WHERE id = ?1"};
// SEARCH quern_cancels USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement delete_cancel{"delete_cancel", "DELETE FROM quern_cancels WHERE id = ?1"};

// --- unique keys

// SEARCH quern_unique USING PRIMARY KEY (key=?)
inline constexpr Statement key_holder{"key_holder",
                                      "SELECT id FROM quern_unique WHERE key = ?1 AND until > ?2"};
inline constexpr Statement take_key{"take_key",
                                    "INSERT OR REPLACE INTO quern_unique(key, id, until) VALUES(?1, ?2, ?3)"};
// SEARCH quern_unique USING PRIMARY KEY (key=?)
inline constexpr Statement free_key{"free_key", "DELETE FROM quern_unique WHERE key = ?1 AND id = ?2"};

// --- nodes

inline constexpr Statement add_node{
    "add_node",
    "INSERT INTO quern_nodes(id, state, boot, expires, lease, started_at, name, host, process, capacity) "
    "VALUES(?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"};
// SEARCH quern_nodes USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement node_alive{"node_alive",
                                      "SELECT lease FROM quern_nodes WHERE id = ?1 AND state = 1"};
// SEARCH quern_nodes USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement renew_node{
    "renew_node", "UPDATE quern_nodes SET boot = ?2, expires = ?3 + lease WHERE id = ?1 AND state = 1"};
// SEARCH quern_nodes USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement retire_node{"retire_node",
                                       "UPDATE quern_nodes SET state = 2 WHERE id = ?1 AND state = 1"};
// Small: SCAN quern_nodes. The nodes that have something to be done for.
inline constexpr Statement lost_nodes{
    "lost_nodes",
    "SELECT id, state FROM quern_nodes WHERE state <> 1 OR boot <> ?1 OR expires <= ?2 ORDER BY id"};
// Small: SCAN quern_nodes. Those whose lease runs.
inline constexpr Statement working_nodes{
    "working_nodes",
    "SELECT id, name, host, process FROM quern_nodes WHERE state = 1 AND boot = ?1 AND expires > ?2"};
// Small: SCAN quern_nodes, and quern_claims for each. Those that are gone and hold nothing.
inline constexpr Statement forget_nodes{
    "forget_nodes",
    "DELETE FROM quern_nodes WHERE (state <> 1 OR boot <> ?1 OR expires <= ?2) AND "
    "NOT EXISTS (SELECT 1 FROM quern_claims WHERE node = quern_nodes.id)"};
// SEARCH quern_nodes USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement declare_dead{"declare_dead", "UPDATE quern_nodes SET state = 3 WHERE id = ?1"};
// SEARCH quern_nodes USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement delete_node{"delete_node", "DELETE FROM quern_nodes WHERE id = ?1"};

// --- records

inline constexpr Statement put_record{"put_record",
                                      "INSERT INTO quern_records(collection, key, value) VALUES(?1, ?2, ?3) "
                                      "ON CONFLICT(collection, key) DO UPDATE SET value = excluded.value"};
// SEARCH quern_records USING INDEX sqlite_autoindex_quern_records_1 (collection=? AND key=?)
inline constexpr Statement erase_record{"erase_record",
                                        "DELETE FROM quern_records WHERE collection = ?1 AND key = ?2"};

// --- is there anything at all? Asked once per call, so that jobs without such rows cost nothing for them.
// One step each.

inline constexpr Statement any_dep{"any_dep", "SELECT 1 FROM quern_deps LIMIT 1"};
inline constexpr Statement any_cancel{"any_cancel", "SELECT 1 FROM quern_cancels LIMIT 1"};
inline constexpr Statement any_step{"any_step", "SELECT 1 FROM quern_steps LIMIT 1"};
inline constexpr Statement any_progress{"any_progress", "SELECT 1 FROM quern_progress LIMIT 1"};
inline constexpr Statement any_changed{"any_changed", "SELECT 1 FROM quern_changed LIMIT 1"};
// Small: SCAN quern_limits.
inline constexpr Statement any_running_limit{"any_running_limit",
                                             "SELECT 1 FROM quern_limits WHERE max_running > 0 LIMIT 1"};
inline constexpr Statement any_error{"any_error", "SELECT 1 FROM quern_errors LIMIT 1"};

}  // namespace quern::inline v1::sqlite::sql
