#pragma once

namespace quern::inline v1::postgres {

// Jobs as another storage shows them, which keeps them in memory and writes them behind. Sets at a time: what
// was known of the jobs of a chunk is taken out of where it stood, and what their images say is put in.

inline constexpr const char* schema_images = R"sql(
-- changed and was_...: for the row in @.changed, which of a running job shows what it was before its claim.
CREATE TYPE @.image AS (
  id bigint, lane integer, state smallint, priority smallint, max_attempts integer, payload text, run_at bigint,
  created_at bigint, deadline bigint, timeout bigint, tenant text, tags text[], created_by text, digest text, trace text,
  parents bigint[],
  policy smallint, key text, period bigint, states smallint, holds boolean, run integer, attempt integer, epoch bigint,
  crashes integer, snoozes integer, started_at bigint, finished_at bigint, changed boolean, was_attempt integer,
  was_epoch bigint, was_started_at bigint, allowed integer, asked boolean, cancel_reason text, percent integer,
  progress text, progress_epoch bigint, reason smallint, message text, result text, waits_for bigint[], errors jsonb,
  steps jsonb);

-- A keeper's own session holds the lock 1903522419, which goes with its process.
CREATE FUNCTION @.become_keeper(c @.ctx, p_boot text, p_steady bigint, p_lease bigint, p_process bigint, p_name text,
  p_host text, p_capacity text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_id bigint;
  n record;
BEGIN
  -- Not waited for in the lock's queue, where everybody else would have to wait behind it.
  FOR i IN 0..500 LOOP
    EXIT WHEN pg_try_advisory_xact_lock(1903522414, @lock);
    IF i = 500 THEN
      RAISE EXCEPTION USING ERRCODE = 'QU006', MESSAGE = 'transactions that change its jobs do not end';
    END IF;
    PERFORM pg_sleep(0.005);
  END LOOP;
  SELECT node INTO v_id FROM @.keeper;
  IF v_id <> 0 THEN PERFORM @.forget_keeper(v_id); END IF;
  SELECT x.* INTO n FROM @.node x WHERE NOT @.is_lost(x, p_boot, coalesce(p_steady, @.clock())) ORDER BY x.id LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'QU006', MESSAGE = format('node %s ("%s", process %s on %s) works on these jobs; its '
      'processor must stop, or its lease pass, before another process can keep them in memory', n.id, n.name, n.process,
      n.host);
  END IF;
  -- Nobody rescues from them while the jobs are in memory.
  DELETE FROM @.node x WHERE NOT EXISTS (SELECT FROM @.claim y WHERE y.node = x.id);
  UPDATE @.meta SET value = value + 1 WHERE name = 'next_node' RETURNING value - 1 INTO v_id;
  INSERT INTO @.node(id, state, lease, expires, started_at, process, boot, name, host, capacity)
    VALUES (v_id, 1, p_lease, coalesce(p_steady, @.clock()) + p_lease, coalesce(c.now, @.clock()), p_process, p_boot, p_name,
      p_host, p_capacity);
  UPDATE @.keeper SET node = v_id, token = c.origin;
  RETURN v_id;
END $$;

-- Whether the jobs are this one's to write, until the transaction ends.
CREATE FUNCTION @.keeps(p_origin bigint, p_node bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM @.keeper WHERE node = p_node AND token = p_origin FOR UPDATE;
  RETURN FOUND;
END $$;

-- Takes jobs out of where they stand, with what is counted of them.
CREATE FUNCTION @.take_out(p_origin bigint, p_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  p @.place;
  v_id bigint;
  v_left bigint[];
BEGIN
  -- What can go in sets; the rest is one of several in a row.
  WITH d AS (DELETE FROM @.outcome WHERE id = ANY(p_ids) RETURNING id, lane, state),
  n AS (INSERT INTO @.change(origin, lane, old, new, n) SELECT p_origin, lane, state, 0, count(*) FROM d GROUP BY lane, state)
  SELECT array_agg(i) INTO v_left FROM unnest(p_ids) i WHERE i NOT IN (SELECT id FROM d);
  IF v_left IS NULL THEN RETURN; END IF;
  FOREACH v_id IN ARRAY v_left LOOP
    p := @.look(v_id);
    CONTINUE WHEN p.state IS NULL;
    PERFORM @.leave(p);
    INSERT INTO @.change(origin, lane, old, new, n) VALUES (p_origin, p.lane, p.state, 0, 1);
  END LOOP;
  DELETE FROM @.cancel WHERE id = ANY(v_left);
END $$;

CREATE FUNCTION @.put_images(c @.ctx, p_keeper bigint, p_claim bigint, p_erased bigint[], p_images jsonb) RETURNS void
LANGUAGE plpgsql @set AS $$
DECLARE
  v @.image[];
  v_old bigint[];
  v_part bigint;
BEGIN
  IF c.now IS NULL THEN c.now := @.clock(); END IF;
  IF cardinality(p_erased) > 0 THEN
    PERFORM @.take_out(c.origin, p_erased);
    DELETE FROM @.key y USING @.job j WHERE j.id = ANY(p_erased) AND j.unique_key IS NOT NULL
      AND y.key = @.key_of(j.unique_key) AND y.id = j.id;
    PERFORM @.erase_rows(p_erased);
  END IF;
  SELECT array_agg(r ORDER BY r.id) INTO v FROM jsonb_populate_recordset(NULL::@.image, p_images) r;
  IF v IS NULL THEN RETURN; END IF;
  FOR v_part IN SELECT DISTINCT x.id / m.value FROM unnest(v) x, @.meta m WHERE m.name = 'partition' LOOP
    IF to_regclass(format('%I.%I', '@name', 'job_' || v_part)) IS NULL THEN
      PERFORM @.make_partitions(x.id, x.id) FROM (SELECT u.id FROM unnest(v) u, @.meta m WHERE m.name = 'partition'
        AND u.id / m.value = v_part LIMIT 1) x;
    END IF;
  END LOOP;
  PERFORM @.raise_ids((SELECT max(x.id) FROM unnest(v) x));

  v_old := ARRAY(SELECT j.id FROM @.job j WHERE j.id = ANY(ARRAY(SELECT x.id FROM unnest(v) x)));
  IF cardinality(v_old) > 0 THEN
    PERFORM @.take_out(c.origin, v_old);
    DELETE FROM @.error WHERE job = ANY(v_old);
    DELETE FROM @.step WHERE job = ANY(v_old);
    DELETE FROM @.progress WHERE id = ANY(v_old);
    DELETE FROM @.changed WHERE id = ANY(v_old);
  END IF;
  INSERT INTO @.job SELECT x.id, x.lane, x.priority, x.max_attempts, x.run_at, x.created_at, x.deadline, x.timeout,
      nullif(x.policy, 0), CASE WHEN x.key IS NOT NULL THEN x.states END, CASE WHEN x.key IS NOT NULL THEN x.period END,
      x.parents, x.tags, x.tenant, x.key, x.created_by, x.digest, x.trace, x.payload
    FROM unnest(v) x WHERE x.id <> ALL(v_old);
  INSERT INTO @.tag SELECT DISTINCT t, x.id FROM unnest(v) x, unnest(x.tags) t WHERE x.id <> ALL(v_old);
  -- A job's row is written once: what is no longer as it says stands in changed.
  IF cardinality(v_old) > 0 THEN
    v := ARRAY(SELECT ROW(x.id, x.lane, x.state, x.priority, x.max_attempts, x.payload, x.run_at, x.created_at, x.deadline,
        x.timeout, x.tenant, x.tags, x.created_by, x.digest, x.trace, x.parents, x.policy, x.key, x.period, x.states, x.holds, x.run,
        x.attempt, x.epoch, x.crashes, x.snoozes, x.started_at, x.finished_at,
        x.changed OR (x.priority, x.run_at, x.deadline) IS DISTINCT FROM (j.priority, j.run_at, j.deadline),
        x.was_attempt, x.was_epoch, x.was_started_at, x.allowed, x.asked, x.cancel_reason, x.percent, x.progress,
        x.progress_epoch, x.reason, x.message, x.result, x.waits_for, x.errors, x.steps)::@.image
      FROM unnest(v) x JOIN @.job j ON j.id = x.id ORDER BY x.id);
  END IF;
  INSERT INTO @.changed SELECT x.id, x.priority, x.run, x.was_attempt, x.was_epoch, x.crashes, x.snoozes, x.run_at, x.deadline,
    x.was_started_at FROM unnest(v) x WHERE x.changed;

  DELETE FROM @.key y USING unnest(v) x WHERE x.key IS NOT NULL AND NOT x.holds AND y.key = @.key_of(x.key) AND y.id = x.id;
  INSERT INTO @.key SELECT @.key_of(x.key), x.id, @.key_until(x.period, x.created_at) FROM unnest(v) x
    WHERE x.key IS NOT NULL AND x.holds ON CONFLICT (key) DO UPDATE SET id = excluded.id, until = excluded.until;
  INSERT INTO @.error SELECT x.id, (e->>1)::bigint, (e->>0)::integer, (e->>2)::bigint, (e->>3)::smallint, e->>4
    FROM unnest(v) x, jsonb_array_elements(x.errors) e;
  INSERT INTO @.step(job, name, value) SELECT x.id, s.e->>0, s.e->>1
    FROM unnest(v) x, jsonb_array_elements(x.steps) WITH ORDINALITY s(e, n) ORDER BY x.id, s.n;
  INSERT INTO @.progress SELECT x.id, x.progress_epoch, coalesce(x.percent, 0), coalesce(x.progress, '') FROM unnest(v) x
    WHERE x.progress_epoch IS NOT NULL;

  INSERT INTO @.blocked SELECT x.id, x.lane FROM unnest(v) x WHERE x.state = 1;
  INSERT INTO @.dep SELECT DISTINCT w, x.id, coalesce(x.policy, 0) FROM unnest(v) x, unnest(x.waits_for) w WHERE x.state = 1;
  INSERT INTO @.sched SELECT x.run_at, x.id, x.lane, x.priority, x.changed FROM unnest(v) x WHERE x.state = 2;
  INSERT INTO @.ready(lane, priority, changed, run_at, first, ids)
    SELECT lane, priority, changed, run_at, min(id), array_agg(id ORDER BY id) FROM (
      SELECT x.id, x.lane, x.priority, x.changed, x.run_at,
        (row_number() OVER (PARTITION BY x.lane, x.priority, x.changed, x.run_at ORDER BY x.id) - 1) / 25 AS row
      FROM unnest(v) x WHERE x.state = 3) z
    GROUP BY lane, priority, changed, run_at, row;
  INSERT INTO @.expiry SELECT x.deadline, x.id FROM unnest(v) x WHERE x.deadline IS NOT NULL AND x.state < 4
    ON CONFLICT DO NOTHING;
  INSERT INTO @.claim SELECT p_claim, row_number() OVER (), p_keeper, z.* FROM (
      SELECT coalesce(x.started_at, c.now), x.lane, x.attempt, x.epoch, greatest(1, x.allowed), x.key IS NOT NULL, x.changed,
        min(x.id), max(x.id), array_agg(x.id ORDER BY x.id)
      FROM unnest(v) x WHERE x.state = 4 GROUP BY 1, 2, 3, 4, 5, 6, 7) z;
  INSERT INTO @.cancel SELECT x.id, coalesce(x.cancel_reason, '') FROM unnest(v) x WHERE x.state = 4 AND x.asked;
  INSERT INTO @.outcome SELECT x.id, x.lane, x.state, coalesce(x.reason, 0), x.attempt, x.epoch, x.started_at,
    coalesce(x.finished_at, c.now), x.message, x.result FROM unnest(v) x WHERE x.state > 4;
  INSERT INTO @.change(origin, lane, old, new, n) SELECT c.origin, x.lane, 0, x.state, count(*) FROM unnest(v) x
    GROUP BY x.lane, x.state;
END $$;

CREATE FUNCTION @.put_beside(p_erased_collections text[], p_erased_keys text[], p_collections text[], p_keys text[],
  p_values text[], p_queues text[], p_paused boolean[], p_max_waiting bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM @.record r USING unnest(p_erased_collections, p_erased_keys) e(collection, key)
    WHERE r.collection = e.collection AND r.key = e.key;
  INSERT INTO @.record SELECT DISTINCT ON (u.c, u.k) u.c, u.k, u.v
    FROM unnest(p_collections, p_keys, p_values) WITH ORDINALITY u(c, k, v, n) ORDER BY u.c, u.k, u.n DESC
    ON CONFLICT (collection, key) DO UPDATE SET value = excluded.value;
  INSERT INTO @.queue SELECT * FROM unnest(p_queues, p_paused, p_max_waiting) ON CONFLICT (name)
    DO UPDATE SET paused = excluded.paused, max_waiting = excluded.max_waiting;
END $$;

-- What full_jobs does not say.
CREATE FUNCTION @.beside_jobs(p_ids bigint[]) RETURNS TABLE (
  id bigint, unique_period bigint, unique_states smallint, holds boolean, waits_for text, allowed integer, cancel_reason text,
  progress_epoch bigint, steps text) LANGUAGE sql STABLE ROWS 10 AS $$
  SELECT j.id, j.unique_period, j.unique_states,
    j.unique_key IS NOT NULL AND EXISTS (SELECT FROM @.key k WHERE k.key = @.key_of(j.unique_key) AND k.id = j.id),
    (SELECT string_agg(d.parent::text, ',' ORDER BY d.parent) FROM @.dep d WHERE d.child = j.id), p.allowed,
    (SELECT x.reason FROM @.cancel x WHERE x.id = j.id), g.epoch,
    (SELECT json_agg(json_build_array(s.name, s.value) ORDER BY s.number)::text FROM @.step s WHERE s.job = j.id)
  FROM unnest(p_ids) u(id) JOIN @.job j ON j.id = u.id CROSS JOIN LATERAL @.look(u.id) p
    LEFT JOIN @.progress g ON g.id = u.id ORDER BY j.id
$$;
)sql";

}  // namespace quern::inline v1::postgres
