#pragma once

namespace quern::inline v1::postgres {

// The tables. "@." stands for the schema, as in all schema_*.hpp; see schema.cpp.
//
// A job's row is written once. Where it stands is derived, and always from exactly one place: it has a row in
// outcome (ended), in sched or blocked, or is one of the ids of a row in ready or in claim. That row is the
// job's lock, too: who moves a job holds it. What has changed of a job since it was added is in changed.
//
// Times are microseconds since the epoch. job, outcome and tag are partitioned by ranges of ids, so that what
// has ended long ago goes by dropping tables.

inline constexpr const char* schema_tables = R"sql(
-- 'schema', 'oldest_program': versions; 'next_node'; 'partition': the ids in one; 'store': tells it from all others.
CREATE TABLE @.meta(name text PRIMARY KEY, value bigint NOT NULL);
INSERT INTO @.meta VALUES ('next_node', 1), ('partition', 1000000), ('store', (random() * 4e15)::bigint);

-- The node that keeps the jobs in memory; 0: none.
CREATE TABLE @.keeper(node bigint NOT NULL, token bigint NOT NULL);
INSERT INTO @.keeper VALUES (0, 0);

-- Each pair of queue and kind that ever had a job; never deleted.
CREATE TABLE @.lane(
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, queue text COLLATE "C" NOT NULL, kind text COLLATE "C" NOT NULL,
  UNIQUE (queue, kind));

CREATE TABLE @.queue(
  name text COLLATE "C" PRIMARY KEY, paused boolean NOT NULL DEFAULT false, max_waiting bigint NOT NULL DEFAULT 0);

-- The jobs as they were added. unique_states, as bits: also held when completed, dead, cancelled.
CREATE TABLE @.job(
  id bigint NOT NULL, lane integer NOT NULL, priority smallint NOT NULL, max_attempts integer NOT NULL,
  run_at bigint NOT NULL, created_at bigint NOT NULL, deadline bigint, timeout bigint, policy smallint,
  unique_states smallint, unique_period bigint, parents bigint[], tags text[], tenant text COLLATE "C",
  unique_key text COLLATE "C", created_by text, digest text, trace text, payload text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE INDEX job_lane ON @.job(lane, id);
CREATE INDEX job_tenant ON @.job(tenant, id) WHERE tenant IS NOT NULL;
CREATE INDEX job_created ON @.job USING brin(created_at);
CREATE TABLE @.tag(tag text COLLATE "C" NOT NULL, id bigint NOT NULL, PRIMARY KEY (tag, id)) PARTITION BY RANGE (id);

-- How jobs ended.
CREATE TABLE @.outcome(
  id bigint NOT NULL, lane integer NOT NULL, state smallint NOT NULL, reason smallint NOT NULL, attempt integer NOT NULL,
  epoch bigint NOT NULL, started_at bigint, finished_at bigint NOT NULL, message text, result text,
  PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE INDEX outcome_finished ON @.outcome(lane, state, finished_at);
CREATE INDEX outcome_failed ON @.outcome(state, id) WHERE state > 5;

-- Of jobs that left the fast path: what is no longer as it was added. While such a job runs, its attempt and
-- epoch are those in claim; after its end those in outcome.
CREATE TABLE @.changed(
  id bigint PRIMARY KEY, priority smallint NOT NULL, run integer NOT NULL, attempt integer NOT NULL, epoch bigint NOT NULL,
  crashes integer NOT NULL, snoozes integer NOT NULL, run_at bigint NOT NULL, deadline bigint, started_at bigint);

-- Ready jobs, up to 25 to a row, that share lane, priority and run_at; first is the smallest of the ids, which are
-- sorted. xid: who put the row there. A row's first may rise, and never falls; so a claimer that has seen a lane's
-- beginning needs to look before that only for rows of transactions that it has not seen.
CREATE TABLE @.ready(
  lane integer NOT NULL, priority smallint NOT NULL, changed boolean NOT NULL, run_at bigint NOT NULL, first bigint NOT NULL,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(), ids bigint[] NOT NULL, PRIMARY KEY (lane, priority, run_at, first))
  WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX ready_xid ON @.ready(xid);

CREATE TABLE @.sched(
  run_at bigint NOT NULL, id bigint NOT NULL, lane integer NOT NULL, priority smallint NOT NULL, changed boolean NOT NULL,
  PRIMARY KEY (run_at, id));
CREATE UNIQUE INDEX sched_id ON @.sched(id);

-- Waiting jobs that have a deadline.
CREATE TABLE @.expiry(deadline bigint NOT NULL, id bigint NOT NULL, PRIMARY KEY (deadline, id));

-- A blocked job has at least one row in dep: a parent that is not yet resolved.
CREATE TABLE @.blocked(id bigint PRIMARY KEY, lane integer NOT NULL);
CREATE TABLE @.dep(parent bigint NOT NULL, child bigint NOT NULL, policy smallint NOT NULL, PRIMARY KEY (parent, child));
CREATE INDEX dep_child ON @.dep(child);

-- Running jobs of one claim that have the rest in common; all of their ids are from first to last.
CREATE TABLE @.claim(
  id bigint NOT NULL, part integer NOT NULL, node bigint NOT NULL, at bigint NOT NULL, lane integer NOT NULL,
  attempt integer NOT NULL, epoch bigint NOT NULL, max_attempts integer NOT NULL, keyed boolean NOT NULL,
  changed boolean NOT NULL, first bigint NOT NULL, last bigint NOT NULL, ids bigint[] NOT NULL, PRIMARY KEY (id, part))
  WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX claim_ids ON @.claim(last, first);
CREATE INDEX claim_node ON @.claim(node);

CREATE TABLE @.error(
  job bigint NOT NULL, epoch bigint NOT NULL, attempt integer NOT NULL, at bigint NOT NULL, fault smallint NOT NULL,
  message text NOT NULL, PRIMARY KEY (job, epoch));
CREATE TABLE @.step(
  number bigint GENERATED ALWAYS AS IDENTITY, job bigint NOT NULL, name text COLLATE "C" NOT NULL, value text NOT NULL,
  PRIMARY KEY (job, name));
CREATE TABLE @.progress(id bigint PRIMARY KEY, epoch bigint NOT NULL, percent integer NOT NULL, message text NOT NULL);

-- Running jobs that were asked to stop.
CREATE TABLE @.cancel(id bigint PRIMARY KEY, reason text NOT NULL);

-- Who holds a unique key, and until when at most. Long keys are hashed, see key_of.
CREATE TABLE @.key(key text COLLATE "C" PRIMARY KEY, id bigint NOT NULL, until bigint NOT NULL);

-- How many jobs of a lane stand in a state: total as of the snapshot in fold, and what has changed since. old and new
-- are states, 0 for none. origin: the storage object that changed it.
CREATE TABLE @.total(lane integer NOT NULL, state smallint NOT NULL, n bigint NOT NULL, PRIMARY KEY (lane, state))
  WITH (fillfactor = 50);
CREATE TABLE @.change(
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(), origin bigint NOT NULL, lane integer NOT NULL, old smallint NOT NULL,
  new smallint NOT NULL, n bigint NOT NULL)
  WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX change_xid ON @.change(xid);
-- Rows of change that a snapshot sees: folded, they are in total; gone, they may be deleted, which gives who asks for
-- changes some time to see them; swept, they have been. Times: when that was last moved on.
CREATE TABLE @.fold(
  folded pg_snapshot NOT NULL, gone pg_snapshot NOT NULL, swept pg_snapshot NOT NULL, folded_at bigint NOT NULL,
  gone_at bigint NOT NULL);
INSERT INTO @.fold VALUES (pg_current_snapshot(), pg_current_snapshot(), pg_current_snapshot(), 0, 0);

-- expires: on the server's clock, or on the steady clock of that boot. waits: wants to hear of work. fenced: claims that
-- must not come to be any more.
CREATE TABLE @.node(
  id bigint PRIMARY KEY, state smallint NOT NULL, lease bigint NOT NULL, expires bigint NOT NULL, started_at bigint NOT NULL,
  process bigint NOT NULL, waits boolean NOT NULL DEFAULT false, fenced bigint[] NOT NULL DEFAULT '{}', boot text NOT NULL,
  name text NOT NULL, host text NOT NULL, capacity text NOT NULL) WITH (fillfactor = 50);

CREATE TABLE @.record(
  collection text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, value text NOT NULL, PRIMARY KEY (collection, key));

-- The last id that was reserved; see take_ids.
CREATE SEQUENCE @.job_id;
-- What was last asked to be pruned, of a state and a kind ('': all but some): what ended up to then may go.
CREATE TABLE @.retention(
  state smallint NOT NULL, kind text COLLATE "C" NOT NULL, except_kinds text[] NOT NULL, keep bigint NOT NULL,
  ended_by bigint NOT NULL, PRIMARY KEY (state, kind));
-- When it is worth looking again whether a partition can be dropped.
CREATE TABLE @.partition(number bigint PRIMARY KEY, look_at bigint NOT NULL);
-- Numbers the storage objects.
CREATE SEQUENCE @.origin;

-- What every changing function is told: the time (null: the server's), who asks, and whether events are wanted.
CREATE TYPE @.ctx AS (now bigint, origin bigint, events boolean);
-- What it answers, as rows: tag 0 a result, number n; 1 an event; 2 there is work; 3 something waits until run_at;
-- 4 a running job was asked to stop.
CREATE TYPE @.out AS (
  tag smallint, n bigint, id bigint, other bigint, lane integer, state smallint, attempt integer, epoch bigint, at bigint,
  run_at bigint, reason smallint, message text);
-- Where a job stands, and what it takes to move it. first: of its row in ready; claim, part: of that in claim.
CREATE TYPE @.place AS (
  id bigint, lane integer, priority smallint, max_attempts integer, created_at bigint, run_at bigint, deadline bigint,
  state smallint, changed boolean, run integer, attempt integer, epoch bigint, crashes integer, snoozes integer,
  started_at bigint, unique_key text, unique_period bigint, unique_states smallint, first bigint, claim bigint,
  part integer, node bigint, allowed integer);
)sql";

}  // namespace quern::inline v1::postgres
