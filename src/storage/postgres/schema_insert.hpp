#pragma once

namespace quern::inline v1::postgres {

// Ids, lanes, partitions, and the insert of plain jobs: those without unique key and parents, which is one
// statement for all of them.

inline constexpr const char* schema_insert = R"sql(
-- Makes the partitions for ids from p_first to p_last, where they are missing. As the owner, since whoever inserts needs
-- them.
CREATE FUNCTION @.make_partitions(p_first bigint, p_last bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_size bigint;
  v_name text;
  v_table text;
BEGIN
  PERFORM pg_advisory_xact_lock(1903522415, @lock);
  SELECT value INTO v_size FROM @.meta WHERE name = 'partition';
  FOR i IN p_first / v_size .. p_last / v_size LOOP
    FOREACH v_table IN ARRAY ARRAY['outcome', 'tag', 'job'] LOOP
      v_name := format('%s_%s', v_table, i);
      CONTINUE WHEN to_regclass(format('%I.%I', '@name', v_name)) IS NOT NULL;
      -- Attached, not created as a partition: that locks less.
      EXECUTE format('CREATE TABLE %1$I.%2$I (LIKE %1$I.%3$I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', '@name', v_name,
        v_table);
      -- Up to the largest id there is, which has no successor.
      EXECUTE format('ALTER TABLE %1$I.%3$I ATTACH PARTITION %1$I.%2$I FOR VALUES FROM (%4$s) TO (%5$s)', '@name', v_name,
        v_table, CASE WHEN i = 0 THEN 'MINVALUE' ELSE (i * v_size)::text END,
        CASE WHEN i = 9223372036854775807 / v_size THEN 'MAXVALUE' ELSE ((i + 1) * v_size)::text END);
    END LOOP;
  END LOOP;
END $$;
SELECT @.make_partitions(1, 1);

-- Reserves ids that follow each other, and answers the first. Of a sequence, so that a transaction that goes on for long
-- keeps nobody waiting; the lock is held for this step alone.
CREATE FUNCTION @.take_ids(p_count bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_last bigint;
BEGIN
  BEGIN
    PERFORM pg_advisory_lock(1903522417, @lock);
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO v_last FROM @.job_id;
    IF v_last > 9223372036854775807 - p_count - 1 THEN
      RAISE EXCEPTION USING ERRCODE = 'QU002', MESSAGE = 'all job ids have been reserved';
    END IF;
    PERFORM setval('@.job_id', v_last + p_count);
  EXCEPTION WHEN query_canceled OR OTHERS THEN
    PERFORM pg_advisory_unlock(1903522417, @lock);
    RAISE;
  END;
  PERFORM pg_advisory_unlock(1903522417, @lock);
  RETURN v_last + 1;
END $$;

CREATE FUNCTION @.reserve_ids(p_origin bigint, p_count bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  PERFORM @.begin(ROW(0, p_origin, false)::@.ctx);
  RETURN @.take_ids(p_count);
END $$;

-- No id up to this one is reserved any more.
CREATE FUNCTION @.raise_ids(p_last bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_last bigint;
BEGIN
  SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO v_last FROM @.job_id;
  IF v_last < p_last THEN PERFORM @.take_ids(p_last - v_last); END IF;
END $$;

-- Makes the next partitions before they are needed, so that no transaction of a host's has to.
CREATE FUNCTION @.make_ahead() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_size bigint;
  v_ahead numeric;
BEGIN
  SELECT value INTO v_size FROM @.meta WHERE name = 'partition';
  SELECT last_value::numeric + v_size / 2 INTO v_ahead FROM @.job_id;
  IF v_ahead > 9223372036854775807 OR to_regclass(format('%I.%I', '@name', 'job_' || div(v_ahead, v_size))) IS NOT NULL
      OR NOT pg_try_advisory_xact_lock(1903522415, @lock) THEN
    RETURN;
  END IF;
  PERFORM @.make_partitions(v_ahead::bigint, v_ahead::bigint);
END $$;

CREATE FUNCTION @.lane_of(p_queue text, p_kind text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE v_id integer;
BEGIN
  LOOP
    SELECT id INTO v_id FROM @.lane WHERE queue = p_queue AND kind = p_kind;
    IF FOUND THEN RETURN v_id; END IF;
    INSERT INTO @.lane(queue, kind) VALUES (p_queue, p_kind) ON CONFLICT DO NOTHING RETURNING id INTO v_id;
    IF FOUND THEN RETURN v_id; END IF;
  END LOOP;
END $$;

-- Adds plain jobs; what is not an array is the same for all, and null arrays are null for all. Answers the ids that were
-- not there yet, or null where all were added; and a tag 9 where the limit of a queue is to be looked at first. Tags
-- stand in p_tags as one text, with unit separators.
CREATE FUNCTION @.insert_plain(c @.ctx, p_ids bigint[], p_lanes integer[], p_priorities smallint[], p_max_attempts integer[],
  p_payloads text[], p_ats bigint[], p_afters bigint[], p_deadline_ats bigint[], p_deadline_afters bigint[],
  p_timeouts bigint[], p_tenants text[], p_tags text[], p_created_by text[], p_digests text[],
  p_traces text[])
RETURNS SETOF @.out LANGUAGE plpgsql @set AS $$
DECLARE
  v_added bigint[];
  v_ready boolean;
  v_next bigint;
  v_run_at bigint;
  v_deadline bigint;
BEGIN
  c := @.begin(c);
  IF EXISTS (SELECT FROM @.queue WHERE max_waiting > 0) THEN
    RETURN NEXT ROW(9, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::@.out;
    RETURN;
  END IF;
  IF cardinality(p_ids) = 1 THEN
    -- The statement for many takes longer to begin than these take in all.
    INSERT INTO @.job(id, lane, priority, max_attempts, run_at, created_at, deadline, timeout, tags, tenant, created_by,
      digest, trace, payload)
    VALUES (p_ids[1], p_lanes[1], p_priorities[1], p_max_attempts[1], @.moment(p_ats[1], p_afters[1], c.now), c.now,
      CASE WHEN p_deadline_ats[1] IS NOT NULL OR p_deadline_afters[1] IS NOT NULL
        THEN @.moment(p_deadline_ats[1], p_deadline_afters[1], c.now) END,
      p_timeouts[1], string_to_array(p_tags[1], E'\x1f'), p_tenants[1], p_created_by[1], p_digests[1],
      p_traces[1], p_payloads[1])
    ON CONFLICT (id) DO NOTHING RETURNING run_at, deadline INTO v_run_at, v_deadline;
    IF FOUND THEN
      v_added := p_ids;
      v_ready := v_run_at <= c.now;
      v_next := v_deadline;
      IF v_ready THEN
        INSERT INTO @.ready(lane, priority, changed, run_at, first, ids)
          VALUES (p_lanes[1], p_priorities[1], false, v_run_at, p_ids[1], p_ids);
      ELSE
        v_next := least(v_next, v_run_at);
        INSERT INTO @.sched VALUES (v_run_at, p_ids[1], p_lanes[1], p_priorities[1], false);
      END IF;
      IF v_deadline IS NOT NULL THEN
        INSERT INTO @.expiry VALUES (v_deadline, p_ids[1]) ON CONFLICT DO NOTHING;
      END IF;
      IF p_tags IS NOT NULL THEN
        INSERT INTO @.tag SELECT DISTINCT t, p_ids[1] FROM unnest(string_to_array(p_tags[1], E'\x1f')) t;
      END IF;
      INSERT INTO @.change(origin, lane, old, new, n)
        VALUES (c.origin, p_lanes[1], 0, CASE WHEN v_ready THEN 3 ELSE 2 END, 1);
    END IF;
  ELSE
    WITH j AS (
      INSERT INTO @.job(id, lane, priority, max_attempts, run_at, created_at, deadline, timeout, tags, tenant, created_by,
        digest, trace, payload)
      SELECT u.id, u.lane, u.priority, u.max_attempts, @.moment(u.at, u.after, c.now), c.now,
        CASE WHEN u.deadline_at IS NOT NULL OR u.deadline_after IS NOT NULL
          THEN @.moment(u.deadline_at, u.deadline_after, c.now) END,
        u.timeout, string_to_array(u.tags, E'\x1f'), u.tenant, u.created_by, u.digest, u.trace, u.payload
      FROM unnest(p_ids, p_lanes, p_priorities, p_max_attempts, p_payloads, p_ats, p_afters, p_deadline_ats,
        p_deadline_afters, p_timeouts, p_tenants, p_tags, p_created_by, p_digests, p_traces) u(id, lane, priority,
        max_attempts, payload, at, after, deadline_at, deadline_after, timeout, tenant, tags, created_by, digest, trace)
      ON CONFLICT (id) DO NOTHING
      RETURNING id, lane, priority, run_at, deadline, tags),
    r AS (
      INSERT INTO @.ready(lane, priority, changed, run_at, first, ids)
      SELECT lane, priority, false, run_at, min(id), array_agg(id ORDER BY id) FROM (
        SELECT *, (row_number() OVER (PARTITION BY lane, priority, run_at ORDER BY id) - 1) / 25 AS row FROM j
        WHERE run_at <= c.now) z
      GROUP BY lane, priority, run_at, row),
    s AS (
      INSERT INTO @.sched SELECT run_at, id, lane, priority, false FROM j WHERE run_at > c.now),
    e AS (
      INSERT INTO @.expiry SELECT deadline, id FROM j WHERE deadline IS NOT NULL ON CONFLICT DO NOTHING),
    t AS (
      INSERT INTO @.tag SELECT DISTINCT tag, id FROM j, unnest(j.tags) tag WHERE j.tags IS NOT NULL),
    n AS (
      INSERT INTO @.change(origin, lane, old, new, n)
      SELECT c.origin, lane, 0, CASE WHEN run_at <= c.now THEN 3 ELSE 2 END, count(*) FROM j GROUP BY 2, 4)
    SELECT array_agg(id), bool_or(run_at <= c.now),
        least(min(run_at) FILTER (WHERE run_at > c.now), min(deadline)) INTO v_added, v_ready, v_next FROM j;
  END IF;
  IF v_ready THEN RETURN NEXT @.waits(3, NULL); END IF;
  IF v_next IS NOT NULL THEN RETURN NEXT @.waits(2, v_next); END IF;
  -- Whoever waits for the next due time is to hear of one that is earlier.
  IF v_ready OR @.next_due() >= v_next THEN PERFORM @.wake(c.origin); END IF;
  IF cardinality(v_added) = cardinality(p_ids) AND NOT c.events THEN RETURN; END IF;
  -- Which were added, and where they stand.
  RETURN QUERY SELECT 8::smallint, NULL::bigint, j.id, NULL::bigint, j.lane,
    CASE WHEN j.run_at <= c.now THEN 3 ELSE 2 END::smallint, NULL::integer, NULL::bigint, c.now, j.run_at, NULL::smallint,
    NULL::text FROM unnest(v_added) a(id) JOIN @.job j ON j.id = a.id ORDER BY j.id;
  RETURN NEXT ROW(7, cardinality(p_ids) - coalesce(cardinality(v_added), 0), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL)::@.out;
END $$;
)sql";

}  // namespace quern::inline v1::postgres
