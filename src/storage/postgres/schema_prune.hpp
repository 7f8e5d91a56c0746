#pragma once

namespace quern::inline v1::postgres {

// What has ended long enough ago goes: whole partitions where everything in them may, and single jobs. A
// dropped partition costs the same whatever was in it, and leaves nothing for vacuum.

inline constexpr const char* schema_prune = R"sql(
-- Ids below are in partitions to which no new ids belong.
CREATE FUNCTION @.closed_ids() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT (SELECT last_value FROM @.job_id) / value * value FROM @.meta WHERE name = 'partition'
$$;

-- Partitions that hold so much that it is worth waiting until they can go as a whole, as far as the statistics tell.
CREATE FUNCTION @.large_partitions() RETURNS bigint[] LANGUAGE sql STABLE AS $$
  SELECT coalesce(array_agg(n.number), '{}') FROM (
    SELECT substring(t.relname FROM '^outcome_(\d+)$')::bigint AS number, t.reltuples
      FROM pg_inherits h JOIN pg_class t ON t.oid = h.inhrelid WHERE h.inhparent = '@name.outcome'::regclass) n, @.meta m
  WHERE m.name = 'partition' AND n.reltuples >= m.value / 10 AND n.number < @.closed_ids() / m.value
$$;

-- When everything in a partition may go, as far as what was asked for says; null: never.
CREATE FUNCTION @.partition_ends(p_number bigint, p_now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_at bigint;
BEGIN
  EXECUTE format($q$
    SELECT CASE WHEN count(*) = count(x.at) THEN coalesce(max(x.at), %2$L) END FROM (
      SELECT lane, state, max(finished_at) AS last FROM %1$s GROUP BY lane, state) o
    CROSS JOIN LATERAL (
      SELECT CASE WHEN count(*) = 0 THEN NULL WHEN o.last <= min(r.ended_by) THEN %2$L
          -- It is asked for again and again, with a moment that moves on.
          ELSE %2$L + greatest(o.last - min(r.ended_by), 1000000) END AS at
        FROM @.retention r JOIN @.lane l ON l.id = o.lane
        WHERE r.state = o.state AND (r.kind = l.kind OR (r.kind = '' AND l.kind <> ALL(r.except_kinds)))) x
  $q$, format('%I.%I', '@name', 'outcome_' || p_number), p_now) INTO v_at;
  RETURN v_at;
END $$;

-- Drops the oldest partition that can go; answers how many jobs were in it. As the owner. Whoever works waits for it for a
-- moment at most; where somebody holds a partition for longer it is left for another time.
CREATE FUNCTION @.drop_partition(p_origin bigint, p_now bigint) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' SET jit = off AS $$
DECLARE
  v_size bigint;
  v_number bigint;
  v_first bigint;
  v_last bigint;
  v_ends bigint;
  v_lives boolean;
  v_count bigint;
  v_job text;
  v_outcome text;
  v_tag text;
BEGIN
  SELECT value INTO v_size FROM @.meta WHERE name = 'partition';
  SELECT n.number INTO v_number FROM (
      SELECT substring(t.relname FROM '^job_(\d+)$')::bigint AS number FROM pg_inherits h JOIN pg_class t ON t.oid = h.inhrelid
        WHERE h.inhparent = '@name.job'::regclass) n
    LEFT JOIN @.partition p ON p.number = n.number
    WHERE n.number < @.closed_ids() / v_size AND coalesce(p.look_at, 0) <= p_now ORDER BY n.number LIMIT 1;
  IF NOT FOUND OR NOT pg_try_advisory_xact_lock(1903522418, @lock) THEN RETURN 0; END IF;
  -- Of requests that nobody makes any more.
  DELETE FROM @.retention WHERE ended_by < p_now - keep - 604800000000;
  v_first := CASE WHEN v_number = 0 THEN -9223372036854775808 ELSE v_number * v_size END;
  v_last := (v_number + 1) * v_size - 1;
  v_job := format('%I.%I', '@name', 'job_' || v_number);
  v_outcome := format('%I.%I', '@name', 'outcome_' || v_number);
  v_tag := format('%I.%I', '@name', 'tag_' || v_number);
  IF v_number = ANY(@.large_partitions()) THEN
    v_ends := @.partition_ends(v_number, p_now);
  ELSE
    -- The little that is in it goes one by one.
    EXECUTE format('SELECT CASE WHEN EXISTS (SELECT FROM %s) OR EXISTS (SELECT FROM %s) THEN %L ELSE %L END', v_job, v_outcome,
      p_now + 60000000, p_now) INTO v_ends;
  END IF;
  IF v_ends > p_now OR v_ends IS NULL THEN
    INSERT INTO @.partition VALUES (v_number, coalesce(v_ends, p_now + 600000000)) ON CONFLICT (number)
      DO UPDATE SET look_at = excluded.look_at;
    RETURN 0;
  END IF;
  BEGIN
    -- From here on nobody moves a job of it, or begins to wait for one.
    EXECUTE format('LOCK TABLE %s, %s, %s IN EXCLUSIVE MODE', v_job, v_outcome, v_tag);
    v_ends := @.partition_ends(v_number, p_now);
    EXECUTE format('SELECT EXISTS (SELECT FROM %s j WHERE NOT EXISTS (SELECT FROM %s o WHERE o.id = j.id))', v_job, v_outcome)
      INTO v_lives;
    IF v_lives OR v_ends > p_now OR v_ends IS NULL
        OR EXISTS (SELECT FROM @.dep WHERE parent BETWEEN v_first AND v_last) THEN
      INSERT INTO @.partition VALUES (v_number, p_now + 60000000) ON CONFLICT (number)
        DO UPDATE SET look_at = excluded.look_at;
      RETURN 0;
    END IF;
    EXECUTE format('INSERT INTO @.change(origin, lane, old, new, n) SELECT %L, lane, state, 0, count(*) FROM %s '
      'GROUP BY lane, state', p_origin, v_outcome);
    EXECUTE format('DELETE FROM @.key y USING %s j WHERE j.unique_key IS NOT NULL AND y.key = @.key_of(j.unique_key) '
      'AND y.id = j.id', v_job);
    EXECUTE format('SELECT count(*) FROM %s', v_outcome) INTO v_count;
    DELETE FROM @.changed WHERE id BETWEEN v_first AND v_last;
    DELETE FROM @.error WHERE job BETWEEN v_first AND v_last;
    DELETE FROM @.step WHERE job BETWEEN v_first AND v_last;
    DELETE FROM @.progress WHERE id BETWEEN v_first AND v_last;
    DELETE FROM @.partition WHERE number = v_number;
    EXECUTE format('DROP TABLE %s, %s, %s', v_job, v_outcome, v_tag);
    RETURN v_count;
  EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    INSERT INTO @.partition VALUES (v_number, p_now + 10000000) ON CONFLICT (number)
      DO UPDATE SET look_at = excluded.look_at;
    RETURN 0;
  END;
END $$;

-- Result: n pruned, state 1 where there may be more.
CREATE FUNCTION @.prune(c @.ctx, p_state smallint, p_older_than bigint, p_limit bigint, p_kind text, p_except text[])
RETURNS SETOF @.out LANGUAGE plpgsql @set AS $$
DECLARE
  v_by bigint;
  v_size bigint;
  v_large bigint[];
  v_dropped bigint;
  v_look bigint := greatest(1000, p_limit * 4);
  v_ids bigint[];
  v_more boolean;
BEGIN
  c := @.begin(c);
  v_by := greatest(c.now::numeric - p_older_than, -9223372036854775807);
  INSERT INTO @.retention VALUES (p_state, coalesce(p_kind, ''), coalesce(p_except, '{}'), p_older_than, v_by)
    ON CONFLICT (state, kind) DO UPDATE SET except_kinds = excluded.except_kinds, keep = excluded.keep,
      ended_by = excluded.ended_by;
  v_dropped := @.drop_partition(c.origin, c.now);
  SELECT value INTO v_size FROM @.meta WHERE name = 'partition';
  v_large := @.large_partitions();
  -- The jobs that ended first are looked at, a good many more than are to go, and of these the smallest ids go.
  SELECT array_agg(x.id ORDER BY x.id) INTO v_ids FROM (
    SELECT o.id FROM @.lane l CROSS JOIN LATERAL (
        SELECT y.id, y.finished_at FROM @.outcome y WHERE y.lane = l.id AND y.state = p_state AND y.finished_at <= v_by
          AND NOT EXISTS (SELECT FROM @.dep d WHERE d.parent = y.id)
          -- What will soon go with its whole partition is left to that for a while.
          AND (y.id / v_size <> ALL(v_large) OR y.finished_at <= v_by - least(p_older_than / 10, 86400000000)) ORDER BY y.finished_at LIMIT v_look + 1) o
      WHERE CASE WHEN p_kind IS NULL THEN l.kind <> ALL(p_except) ELSE l.kind = p_kind END
      ORDER BY o.finished_at LIMIT v_look + 1) x;
  v_more := coalesce(cardinality(v_ids), 0) > p_limit OR v_dropped > 0;
  v_ids := v_ids[1:p_limit];
  IF cardinality(v_ids) > 0 THEN
    WITH d AS (DELETE FROM @.outcome WHERE id = ANY(v_ids) AND state = p_state AND finished_at <= v_by RETURNING id, lane),
    q AS (INSERT INTO @.change(origin, lane, old, new, n) SELECT c.origin, lane, p_state, 0, count(*) FROM d GROUP BY lane)
    SELECT array_agg(id) INTO v_ids FROM d;
    -- Somebody began to wait for one of them before it was locked.
    IF EXISTS (SELECT FROM @.dep WHERE parent = ANY(v_ids)) THEN
      RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'a job that was to be pruned is needed';
    END IF;
    DELETE FROM @.key y USING @.job j WHERE j.id = ANY(v_ids) AND j.unique_key IS NOT NULL AND y.key = @.key_of(j.unique_key)
      AND y.id = j.id;
    PERFORM @.erase_rows(v_ids);
  END IF;
  RETURN NEXT ROW(0, coalesce(cardinality(v_ids), 0) + v_dropped, NULL, NULL, NULL, v_more::integer, NULL, NULL, NULL, NULL, NULL,
    NULL)::@.out;
END $$;
)sql";

}  // namespace quern::inline v1::postgres
