#pragma once

#include "storage/sqlite/connection.hpp"

// The indexes that jobs are listed and pruned by, see zones.hpp; with plans as in sql.hpp. size: 8 for zones,
// 16 for areas.

namespace quern::inline v1::sqlite::sql {

// --- keeping them

// Changes nothing where the zone covers the times already.
inline constexpr Statement widen_zone{
    "widen_zone",
    "INSERT INTO quern_zones(size, zone, earliest, latest) VALUES(?1, ?2, ?3, ?4) ON CONFLICT(size, zone) DO "
    "UPDATE SET earliest = min(earliest, excluded.earliest), latest = max(latest, excluded.latest) "
    "WHERE earliest > excluded.earliest OR latest < excluded.latest"};
// SEARCH quern_zones USING PRIMARY KEY (size=? AND zone=?)
inline constexpr Statement delete_zone{"delete_zone",
                                       "DELETE FROM quern_zones WHERE size = ?1 AND zone = ?2"};
// SEARCH quern_zones USING PRIMARY KEY (size=? AND zone>? AND zone<?)
inline constexpr Statement area_has_zone{
    "area_has_zone", "SELECT 1 FROM quern_zones WHERE size = ?1 AND zone BETWEEN ?2 AND ?3 LIMIT 1"};
// SEARCH quern_jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
inline constexpr Statement zone_has_job{"zone_has_job",
                                        "SELECT 1 FROM quern_jobs WHERE id BETWEEN ?1 AND ?2 LIMIT 1"};

inline constexpr Statement add_lane_zone{
    "add_lane_zone", "INSERT INTO quern_lane_zones(lane, zone) VALUES(?1, ?2) ON CONFLICT DO NOTHING"};
// At most a zone's jobs. SEARCH quern_jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
inline constexpr Statement zone_has_lane{
    "zone_has_lane", "SELECT 1 FROM quern_jobs WHERE id BETWEEN ?1 AND ?2 AND lane = ?3 LIMIT 1"};
// SEARCH quern_lane_zones USING PRIMARY KEY (lane=? AND zone=?)
inline constexpr Statement delete_lane_zone{"delete_lane_zone",
                                            "DELETE FROM quern_lane_zones WHERE lane = ?1 AND zone = ?2"};

inline constexpr Statement add_ended{
    "add_ended",
    "INSERT INTO quern_ended(state, lane, span, zone) VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING"};
// SEARCH quern_ended USING PRIMARY KEY (state=? AND lane=? AND span=? AND zone=?)
inline constexpr Statement delete_ended{
    "delete_ended", "DELETE FROM quern_ended WHERE state = ?1 AND lane = ?2 AND span = ?3 AND zone = ?4"};

// SEARCH quern_labels USING COVERING INDEX sqlite_autoindex_quern_labels_1 (type=? AND name=?)
inline constexpr Statement find_label{"find_label",
                                      "SELECT id FROM quern_labels WHERE type = ?1 AND name = ?2"};
inline constexpr Statement add_label{"add_label", "INSERT INTO quern_labels(type, name) VALUES(?1, ?2)"};
// SEARCH quern_labels USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement delete_label{"delete_label", "DELETE FROM quern_labels WHERE id = ?1"};
inline constexpr Statement add_labelled{
    "add_labelled", "INSERT INTO quern_labelled(label, id) VALUES(?1, ?2) ON CONFLICT DO NOTHING"};
// SEARCH quern_labelled USING PRIMARY KEY (label=? AND id=?)
inline constexpr Statement delete_labelled{"delete_labelled",
                                           "DELETE FROM quern_labelled WHERE label = ?1 AND id = ?2"};
// SEARCH quern_labelled USING PRIMARY KEY (label=?)
inline constexpr Statement label_used{"label_used", "SELECT 1 FROM quern_labelled WHERE label = ?1 LIMIT 1"};

// --- making them, once: these walk over whole tables, in the order of the key

inline constexpr Statement fill_jobs{"fill_jobs",
                                     "SELECT id, lane, created_at, more FROM quern_jobs ORDER BY id"};
inline constexpr Statement fill_completed{
    "fill_completed", "SELECT first_id, last_id, finished_at FROM quern_completed ORDER BY first_id"};
inline constexpr Statement fill_failed{"fill_failed",
                                       "SELECT id, state, finished_at FROM quern_failed ORDER BY id"};

// --- pruning by them

// The next ones beyond (?4, ?5). SEARCH quern_ended USING PRIMARY KEY (state=? AND lane=? AND
// (span,zone)>(?,?))
inline constexpr Statement old_ended{
    "old_ended",
    "SELECT span, zone FROM quern_ended WHERE state = ?1 AND lane = ?2 AND (span, zone) > (?4, ?5) AND "
    "span <= ?3 ORDER BY span, zone LIMIT ?6"};
// The ranges of completed jobs that overlap ?1 to ?2.
// SEARCH quern_completed USING INTEGER PRIMARY KEY (rowid>? AND rowid<?), and by key for the first
inline constexpr Statement completed_in{
    "completed_in",
    "SELECT first_id, last_id, attempt, epoch, started_at, finished_at FROM quern_completed WHERE first_id "
    ">= "
    "coalesce((SELECT max(first_id) FROM quern_completed WHERE first_id <= ?1), 0) AND first_id <= ?2 "
    "ORDER BY first_id"};
// SEARCH quern_failed USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
inline constexpr Statement failed_in{
    "failed_in",
    "SELECT id, state, finished_at FROM quern_failed WHERE id BETWEEN ?1 AND ?2 AND +state = ?3 ORDER BY id"};
// SEARCH quern_jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
inline constexpr Statement lanes_of_jobs{"lanes_of_jobs",
                                         "SELECT id, lane FROM quern_jobs WHERE id BETWEEN ?1 AND ?2"};

// --- listing by them: where an id or a zone can be found next, in both directions

// SEARCH quern_lane_zones USING PRIMARY KEY (lane=? AND zone>?)
inline constexpr Statement lane_zone_up{
    "lane_zone_up", "SELECT zone FROM quern_lane_zones WHERE lane = ?1 AND zone >= ?2 ORDER BY zone LIMIT 1"};
inline constexpr Statement lane_zone_down{
    "lane_zone_down",
    "SELECT zone FROM quern_lane_zones WHERE lane = ?1 AND zone <= ?2 ORDER BY zone DESC LIMIT 1"};
// Passes over the zones of other times: at most 256 where ?2 to ?3 is an area, else one per 65536 ids.
// SEARCH quern_zones USING PRIMARY KEY (size=? AND zone>? AND zone<?)
inline constexpr Statement timed_zone_up{
    "timed_zone_up",
    "SELECT zone FROM quern_zones WHERE size = ?1 AND zone BETWEEN ?2 AND ?3 AND latest >= ?4 AND "
    "earliest <= ?5 ORDER BY zone LIMIT 1"};
inline constexpr Statement timed_zone_down{
    "timed_zone_down",
    "SELECT zone FROM quern_zones WHERE size = ?1 AND zone BETWEEN ?2 AND ?3 AND latest >= ?4 AND "
    "earliest <= ?5 ORDER BY zone DESC LIMIT 1"};
// SEARCH quern_labelled USING PRIMARY KEY (label=? AND id>?)
inline constexpr Statement tenant_up{
    "tenant_up", "SELECT id FROM quern_labelled WHERE label = ?2 AND id >= ?1 ORDER BY id"};
inline constexpr Statement tenant_down{
    "tenant_down", "SELECT id FROM quern_labelled WHERE label = ?2 AND id <= ?1 ORDER BY id DESC"};
// The same, so that both can be read at once.
inline constexpr Statement tag_up{"tag_up",
                                  "SELECT id FROM quern_labelled WHERE label = ?2 AND id >= ?1 ORDER BY id"};
inline constexpr Statement tag_down{
    "tag_down", "SELECT id FROM quern_labelled WHERE label = ?2 AND id <= ?1 ORDER BY id DESC"};
// SEARCH quern_jobs USING INTEGER PRIMARY KEY (rowid>?)
inline constexpr Statement each_up{"each_up", "SELECT id, lane FROM quern_jobs WHERE id >= ?1 ORDER BY id"};
inline constexpr Statement each_down{"each_down",
                                     "SELECT id, lane FROM quern_jobs WHERE id <= ?1 ORDER BY id DESC"};
// What is cheap to know of a job that may be wanted. SEARCH quern_jobs USING INTEGER PRIMARY KEY (rowid=?)
inline constexpr Statement glance{"glance", "SELECT lane, created_at FROM quern_jobs WHERE id = ?1"};

}  // namespace quern::inline v1::sqlite::sql
