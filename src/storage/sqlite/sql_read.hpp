#pragma once

#include "storage/sqlite/connection.hpp"

// What the reading operations run, on connections that cannot write; with plans as in sql.hpp.

namespace quern::inline v1::sqlite::sql {

inline constexpr Statement begin_read{"begin_read", "BEGIN"};

// All of a job but its errors and whether it runs.
// SEARCH j, l, c, f, p, b, x, d USING INTEGER PRIMARY KEY (rowid=?); SEARCH s USING COVERING INDEX
// quern_sched_id (id=?); for d, SEARCH quern_completed USING INTEGER PRIMARY KEY (rowid<?)
inline constexpr Statement full_job{
    "full_job",
    "SELECT l.queue, l.kind, coalesce(c.priority, j.priority), j.max_attempts, j.run_at, j.created_at, "
    "j.deadline, j.more, "
    "j.payload, "
    "c.run, c.attempt, c.epoch, c.crashes, c.snoozes, c.run_at, c.deadline, c.started_at, "
    "d.first_id, d.attempt, d.epoch, d.started_at, d.finished_at, d.result, "
    "f.state, f.attempt, f.epoch, f.started_at, f.finished_at, f.dead_reason, f.message, "
    "p.percent, p.message, s.id, b.id, x.id "
    "FROM quern_jobs j LEFT JOIN quern_lanes l ON l.id = j.lane LEFT JOIN quern_changed c ON c.id = j.id "
    "LEFT JOIN quern_failed f ON f.id = j.id LEFT JOIN quern_progress p ON p.id = j.id "
    "LEFT JOIN quern_sched s ON s.id = j.id LEFT JOIN quern_blocked b ON b.id = j.id "
    "LEFT JOIN quern_cancels x ON x.id = j.id LEFT JOIN quern_completed d ON d.last_id >= j.id AND "
    "d.first_id = (SELECT max(first_id) FROM quern_completed WHERE first_id <= j.id) WHERE j.id = ?1"};
// SEARCH quern_errors USING PRIMARY KEY (job=?)
inline constexpr Statement errors_of{
    "errors_of", "SELECT attempt, epoch, at, fault, message FROM quern_errors WHERE job = ?1 ORDER BY epoch"};
// Sorted by the caller. SEARCH quern_steps USING INDEX sqlite_autoindex_quern_steps_1 (job=?)
inline constexpr Statement steps_of{"steps_of", "SELECT id, name, value FROM quern_steps WHERE job = ?1"};
// For images: the next jobs. SEARCH quern_jobs USING INTEGER PRIMARY KEY (rowid>?)
inline constexpr Statement next_jobs{"next_jobs",
                                     "SELECT id FROM quern_jobs WHERE id > ?1 ORDER BY id LIMIT ?2"};
// SEARCH quern_deps USING COVERING INDEX quern_deps_child (child=?)
inline constexpr Statement parents_of{"parents_of", "SELECT parent FROM quern_deps WHERE child = ?1"};
// SEARCH quern_progress USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement progress_epoch{"progress_epoch", "SELECT epoch FROM quern_progress WHERE id = ?1"};
// Also where its time has passed. SEARCH quern_unique USING PRIMARY KEY (key=?)
inline constexpr Statement key_owner{"key_owner", "SELECT id FROM quern_unique WHERE key = ?1"};
// Small: SCAN quern_cancels.
inline constexpr Statement cancels{"cancels", "SELECT id FROM quern_cancels ORDER BY id"};

// Ids for a list, in both directions, from ?1 on. Every job, with its lane and whether it is ready or
// running. SEARCH j USING INTEGER PRIMARY KEY (rowid>?), the others by key
inline constexpr Statement jobs_up{
    "jobs_up",
    "SELECT j.id, j.lane, f.id IS NULL AND s.id IS NULL AND b.id IS NULL AND "
    "coalesce((SELECT last_id FROM quern_completed WHERE first_id <= j.id ORDER BY first_id DESC LIMIT 1), "
    "0) < j.id "
    "FROM quern_jobs j LEFT JOIN quern_failed f ON f.id = j.id LEFT JOIN quern_sched s ON s.id = j.id "
    "LEFT JOIN quern_blocked b ON b.id = j.id WHERE j.id >= ?1 ORDER BY j.id"};
inline constexpr Statement jobs_down{
    "jobs_down",
    "SELECT j.id, j.lane, f.id IS NULL AND s.id IS NULL AND b.id IS NULL AND "
    "coalesce((SELECT last_id FROM quern_completed WHERE first_id <= j.id ORDER BY first_id DESC LIMIT 1), "
    "0) < j.id "
    "FROM quern_jobs j LEFT JOIN quern_failed f ON f.id = j.id LEFT JOIN quern_sched s ON s.id = j.id "
    "LEFT JOIN quern_blocked b ON b.id = j.id WHERE j.id <= ?1 ORDER BY j.id DESC"};
// SEARCH quern_sched USING COVERING INDEX quern_sched_id (id>?)
inline constexpr Statement sched_up{"sched_up", "SELECT id FROM quern_sched WHERE id >= ?1 ORDER BY id"};
inline constexpr Statement sched_down{"sched_down",
                                      "SELECT id FROM quern_sched WHERE id <= ?1 ORDER BY id DESC"};
// SEARCH quern_blocked USING INTEGER PRIMARY KEY (rowid>?)
inline constexpr Statement blocked_up{"blocked_up",
                                      "SELECT id FROM quern_blocked WHERE id >= ?1 ORDER BY id"};
inline constexpr Statement blocked_down{"blocked_down",
                                        "SELECT id FROM quern_blocked WHERE id <= ?1 ORDER BY id DESC"};
// The ranges that end at ?1 or later. SEARCH quern_completed USING INTEGER PRIMARY KEY (rowid>?), and by key
// for the first
inline constexpr Statement completed_up{
    "completed_up",
    "SELECT first_id, last_id FROM quern_completed WHERE first_id >= "
    "coalesce((SELECT max(first_id) FROM quern_completed WHERE first_id <= ?1), 0) ORDER BY first_id"};
// SEARCH quern_completed USING INTEGER PRIMARY KEY (rowid<?)
inline constexpr Statement completed_down{
    "completed_down",
    "SELECT first_id, last_id FROM quern_completed WHERE first_id <= ?1 ORDER BY first_id DESC"};
// A statement for each state, so that both can be read at once.
// SEARCH quern_failed USING COVERING INDEX quern_failed_state (state=? AND rowid>?)
inline constexpr Statement dead_up{
    "dead_up",
    "SELECT id FROM quern_failed INDEXED BY quern_failed_state WHERE id >= ?1 AND state = 6 ORDER BY id"};
inline constexpr Statement dead_down{"dead_down",
                                     "SELECT id FROM quern_failed INDEXED BY quern_failed_state WHERE id <= "
                                     "?1 AND state = 6 ORDER BY id DESC"};
inline constexpr Statement cancelled_up{
    "cancelled_up",
    "SELECT id FROM quern_failed INDEXED BY quern_failed_state WHERE id >= ?1 AND state = 7 ORDER BY id"};
inline constexpr Statement cancelled_down{"cancelled_down",
                                          "SELECT id FROM quern_failed INDEXED BY quern_failed_state WHERE "
                                          "id <= ?1 AND state = 7 ORDER BY id DESC"};
// SEARCH quern_jobs USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement lane_of_job{"lane_of_job", "SELECT lane FROM quern_jobs WHERE id = ?1"};
// The ready jobs of one lane. SEARCH quern_ready USING PRIMARY KEY (lane=?)
inline constexpr Statement ready_of_lane{"ready_of_lane",
                                         "SELECT first_id, last_id, ids FROM quern_ready WHERE lane = ?1"};

// A recount looks at everything, so these walk over whole tables: SCAN, in the order of the key where one is
// wanted.
inline constexpr Statement recount_jobs{"recount_jobs", "SELECT id, lane FROM quern_jobs ORDER BY id"};
inline constexpr Statement recount_completed{
    "recount_completed", "SELECT first_id, last_id FROM quern_completed ORDER BY first_id"};
inline constexpr Statement recount_failed{"recount_failed", "SELECT id, state FROM quern_failed ORDER BY id"};
inline constexpr Statement recount_blocked{"recount_blocked", "SELECT id FROM quern_blocked ORDER BY id"};
inline constexpr Statement recount_sched{"recount_sched", "SELECT lane FROM quern_sched"};
inline constexpr Statement recount_ready{"recount_ready",
                                         "SELECT lane, first_id, last_id, ids FROM quern_ready"};
// Small: SCAN quern_totals.
inline constexpr Statement kept_counts{"kept_counts", "SELECT state, lane, n FROM quern_totals"};

// Small: SCAN quern_lanes.
inline constexpr Statement all_lanes{"all_lanes", "SELECT id, queue, kind FROM quern_lanes"};
// Small: SCAN c, SEARCH l USING INTEGER PRIMARY KEY (rowid=?). Sorted by the caller.
inline constexpr Statement all_counts{
    "all_counts",
    "SELECT l.queue, l.kind, c.state, c.n FROM quern_totals c JOIN quern_lanes l ON l.id = c.lane"};
// SEARCH quern_totals USING PRIMARY KEY (state=?), SEARCH quern_lanes USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement ready_lanes{
    "ready_lanes",
    "SELECT quern_lanes.id, queue, kind FROM quern_totals CROSS JOIN quern_lanes ON quern_lanes.id = lane "
    "WHERE state = ?1 AND n > 0"};
// SEARCH quern_ready USING PRIMARY KEY (lane=? AND priority>?)
inline constexpr Statement first_of_next_priority{"first_of_next_priority",
                                                  "SELECT priority, run_at FROM quern_ready WHERE lane = ?1 "
                                                  "AND priority > ?2 ORDER BY priority, run_at LIMIT 1"};
// Small: SCAN quern_queues.
inline constexpr Statement all_queues{"all_queues", "SELECT name, paused, max_waiting FROM quern_queues"};
// Small: SCAN quern_nodes.
inline constexpr Statement all_nodes{"all_nodes",
                                     "SELECT id, state, lease, started_at, name, host, process, capacity, "
                                     "boot, expires FROM quern_nodes ORDER BY id"};

// SEARCH quern_records USING INDEX sqlite_autoindex_quern_records_1 (collection=? AND key=?)
inline constexpr Statement get_record{"get_record",
                                      "SELECT value FROM quern_records WHERE collection = ?1 AND key = ?2"};
// SEARCH quern_records USING INDEX sqlite_autoindex_quern_records_1 (collection=? AND key>?)
inline constexpr Statement list_records{
    "list_records",
    "SELECT key, value FROM quern_records WHERE collection = ?1 AND key > ?2 ORDER BY key LIMIT ?3"};
// SEARCH quern_records USING INDEX sqlite_autoindex_quern_records_1 ((collection,key)>(?,?))
inline constexpr Statement next_records{
    "next_records",
    "SELECT collection, key, value FROM quern_records WHERE (collection, key) > (?1, ?2) "
    "ORDER BY collection, key LIMIT ?3"};

}  // namespace quern::inline v1::sqlite::sql
