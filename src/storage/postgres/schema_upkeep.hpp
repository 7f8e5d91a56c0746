#pragma once

namespace quern::inline v1::postgres {

// What keeps the jobs moving: due times, nodes, queues, old jobs, and the counts.

inline constexpr const char* schema_upkeep = R"sql(
-- When something is due next; null: nothing waits.
CREATE FUNCTION @.next_due() RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN least((SELECT run_at FROM @.sched ORDER BY run_at, id LIMIT 1), (SELECT deadline FROM @.expiry
    ORDER BY deadline, id LIMIT 1));
END $$;

-- Result: n promoted, other expired, run_at the next due time.
CREATE FUNCTION @.promote(c @.ctx, p_limit bigint) RETURNS SETOF @.out LANGUAGE plpgsql @set AS $$
DECLARE
  v_promoted bigint := 0;
  v_expired bigint := 0;
  v_due record;
  p @.place;
BEGIN
  c := @.begin(c);
  IF @.next_due() <= c.now THEN
    WITH due AS MATERIALIZED (
      SELECT run_at, id FROM @.sched WHERE run_at <= c.now ORDER BY run_at, id LIMIT p_limit FOR UPDATE SKIP LOCKED),
    d AS (DELETE FROM @.sched s USING due WHERE s.run_at = due.run_at AND s.id = due.id RETURNING s.*),
    r AS (
      INSERT INTO @.ready(lane, priority, changed, run_at, first, ids)
      SELECT lane, priority, changed, run_at, min(id), array_agg(id ORDER BY id) FROM (
        SELECT *, (row_number() OVER (PARTITION BY lane, priority, changed, run_at ORDER BY id) - 1) / 25 AS row FROM d) z
      GROUP BY lane, priority, changed, run_at, row),
    q AS (INSERT INTO @.change(origin, lane, old, new, n) SELECT c.origin, lane, 2, 3, count(*) FROM d GROUP BY lane)
    SELECT count(*) INTO v_promoted FROM d;
    IF v_promoted > 0 THEN RETURN NEXT @.waits(3, NULL); END IF;
    -- One at a time: what ends with it may have been next.
    WHILE v_expired < p_limit LOOP
      SELECT deadline, id INTO v_due FROM @.expiry WHERE deadline <= c.now ORDER BY deadline, id LIMIT 1
        FOR UPDATE SKIP LOCKED;
      EXIT WHEN NOT FOUND;
      p := @.take(v_due.id, true);
      IF p.state < 4 AND p.deadline = v_due.deadline THEN
        RETURN QUERY SELECT * FROM @.end_waiting(c, p, 6, 3, 'not started by its deadline');
        v_expired := v_expired + 1;
      ELSE
        DELETE FROM @.expiry WHERE deadline = v_due.deadline AND id = v_due.id;  -- of a record that was damaged
      END IF;
    END LOOP;
    PERFORM @.wake(c.origin);
  END IF;
  RETURN NEXT ROW(0, v_promoted, NULL, v_expired, NULL, NULL, NULL, NULL, c.now,
    least(@.next_due(), @.next_start(c.now)), NULL, NULL)::@.out;
END $$;

-- p_steady null: the server's clock goes.
CREATE FUNCTION @.register_node(c @.ctx, p_boot text, p_steady bigint, p_lease bigint, p_process bigint, p_name text,
  p_host text, p_capacity text) RETURNS bigint LANGUAGE plpgsql @set AS $$
DECLARE v_id bigint;
BEGIN
  c := @.begin(c);
  UPDATE @.meta SET value = value + 1 WHERE name = 'next_node' RETURNING value - 1 INTO v_id;
  INSERT INTO @.node(id, state, lease, expires, started_at, process, boot, name, host, capacity)
    VALUES (v_id, 1, p_lease, coalesce(p_steady, @.clock()) + p_lease, c.now, p_process, p_boot, p_name, p_host, p_capacity);
  RETURN v_id;
END $$;

CREATE FUNCTION @.renew(c @.ctx, p_node bigint, p_boot text, p_steady bigint) RETURNS boolean LANGUAGE plpgsql @set AS $$
BEGIN
  PERFORM @.begin(c);
  UPDATE @.node SET expires = coalesce(p_steady, @.clock()) + lease, boot = p_boot WHERE id = p_node AND state = 1;
  RETURN FOUND;
END $$;

CREATE FUNCTION @.retire(c @.ctx, p_node bigint) RETURNS void LANGUAGE plpgsql @set AS $$
BEGIN
  PERFORM @.begin(c);
  PERFORM FROM @.node WHERE id = p_node AND state = 1 FOR UPDATE;  -- a claim that is under way comes first
  IF NOT FOUND THEN RETURN; END IF;
  UPDATE @.keeper SET node = 0, token = 0 WHERE node = p_node;
  IF EXISTS (SELECT FROM @.claim WHERE node = p_node) THEN
    UPDATE @.node SET state = 2, waits = false WHERE id = p_node;
  ELSE
    DELETE FROM @.node WHERE id = p_node;
  END IF;
END $$;

CREATE FUNCTION @.is_lost(n @.node, p_boot text, p_steady bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT n.state <> 1 OR n.boot <> p_boot OR n.expires < p_steady
$$;

-- Result: n rescued, other dead, attempt nodes, state 1 where the limit was reached.
CREATE FUNCTION @.rescue(c @.ctx, p_boot text, p_steady bigint, p_limit bigint, p_crashes integer) RETURNS SETOF @.out
LANGUAGE plpgsql @set AS $$
DECLARE
  v_steady bigint;
  v_nodes bigint[];
  v_node bigint;
  v_declared integer := 0;
  v_rescued bigint := 0;
  v_dead bigint := 0;
  v_run record;
  k @.claim;
  p @.place;
  v_asked text;
  v_state integer;
  v_reason integer;
  v_text text;
BEGIN
  c := @.begin(c);
  v_steady := coalesce(p_steady, @.clock());
  -- Skips nodes that claim right now, and those that somebody else rescues from.
  IF EXISTS (SELECT FROM @.node n WHERE @.is_lost(n, p_boot, v_steady)) THEN
    v_nodes := ARRAY(SELECT n.id FROM @.node n WHERE @.is_lost(n, p_boot, v_steady) ORDER BY n.id FOR UPDATE SKIP LOCKED);
  END IF;
  IF cardinality(v_nodes) > 0 THEN
    UPDATE @.node SET state = 3, waits = false WHERE id = ANY(v_nodes) AND state = 1;
    GET DIAGNOSTICS v_declared = ROW_COUNT;
    <<nodes>> FOREACH v_node IN ARRAY v_nodes LOOP
      FOR v_run IN SELECT y.id AS claim, y.part, i.id FROM @.claim y CROSS JOIN LATERAL unnest(y.ids) i(id)
          WHERE y.node = v_node ORDER BY i.id LOOP
        IF v_rescued + v_dead >= p_limit THEN
          v_state := -1;
          EXIT nodes;
        END IF;
        SELECT y.* INTO k FROM @.claim y WHERE y.id = v_run.claim AND y.part = v_run.part AND v_run.id = ANY(y.ids) FOR UPDATE;
        CONTINUE WHEN NOT FOUND;
        v_asked := NULL;
        DELETE FROM @.cancel WHERE id = v_run.id RETURNING reason INTO v_asked;
        p := @.look(v_run.id);
        IF p.id IS NULL OR p.lane <> k.lane THEN
          PERFORM @.mend(v_run.id, k.lane, 2, k.at);
          p := @.look(v_run.id);
        END IF;
        p.state := 4;
        p.lane := k.lane;
        p.attempt := k.attempt;
        p.epoch := k.epoch;
        p.started_at := k.at;
        p.claim := k.id;
        p.part := k.part;
        p.crashes := p.crashes + 1;
        v_text := format('node %s died', v_node);
        PERFORM @.leave(p);
        PERFORM @.remember(p.id, p.attempt, p.epoch, c.now, 3, v_text);
        v_state := 6;
        v_reason := 0;
        IF v_asked IS NOT NULL THEN
          v_state := 7;
          v_text := v_asked;
        ELSIF p.crashes >= p_crashes THEN
          v_reason := 4;
          v_text := format('was running when its node died, %s times', p.crashes);
        ELSIF k.attempt >= k.max_attempts THEN
          v_reason := 1;
        ELSE
          v_state := 3;
          p.run_at := c.now;
        END IF;
        p.changed := true;
        PERFORM @.save(p);
        IF v_state = 3 THEN
          PERFORM @.let_wait(c, p, 4);
          RETURN NEXT @.waits(3, p.run_at);
          IF c.events THEN
            RETURN NEXT @.event(9, p.id, p.lane, p.attempt, p.epoch, c.now, p.run_at, 0, v_text);
          END IF;
          v_rescued := v_rescued + 1;
        ELSE
          PERFORM @.put_end(c, p, v_state, v_reason, v_text, NULL);
          IF c.events THEN
            RETURN NEXT @.event(CASE v_state WHEN 6 THEN 13 ELSE 12 END, p.id, p.lane, p.attempt, p.epoch, c.now, NULL,
              v_reason, v_text);
          END IF;
          RETURN QUERY SELECT * FROM @.settle(c, ARRAY[p.id], ARRAY[v_state::smallint]);
          v_dead := v_dead + 1;
        END IF;
      END LOOP;
      v_state := 0;
      DELETE FROM @.node WHERE id = v_node;
    END LOOP;
    PERFORM @.wake(c.origin);
  END IF;
  RETURN NEXT ROW(0, v_rescued, NULL, v_dead, NULL, CASE WHEN v_state = -1 THEN 1 ELSE 0 END, v_declared, NULL, NULL, NULL,
    NULL, NULL)::@.out;
END $$;

-- Sets what is not null.
CREATE FUNCTION @.set_queue(c @.ctx, p_name text, p_paused boolean, p_max_waiting bigint) RETURNS void
LANGUAGE plpgsql @set AS $$
BEGIN
  c := @.begin(c);
  -- So that no claim that is under way starts a job after this returned.
  IF p_paused THEN PERFORM pg_advisory_xact_lock(1903522416, @lock); END IF;
  IF p_paused IS FALSE THEN
    UPDATE @.queue SET paused = false WHERE name = p_name AND paused;
    IF NOT FOUND THEN RETURN; END IF;
    INSERT INTO @.change(origin, lane, old, new, n) SELECT c.origin, id, 0, 0, 0 FROM @.lane WHERE queue = p_name LIMIT 1;
    PERFORM @.wake(c.origin);
    RETURN;
  END IF;
  INSERT INTO @.queue AS q VALUES (p_name, coalesce(p_paused, false), coalesce(p_max_waiting, 0)) ON CONFLICT (name)
    DO UPDATE SET paused = coalesce(p_paused, q.paused), max_waiting = coalesce(p_max_waiting, q.max_waiting);
END $$;

-- Exact in any snapshot.
CREATE FUNCTION @.counts() RETURNS TABLE (lane integer, state smallint, n bigint) LANGUAGE sql STABLE ROWS 100 AS $$
  SELECT z.lane, z.state, sum(z.n)::bigint FROM (
    SELECT t.lane, t.state, t.n FROM @.total t
    UNION ALL
    SELECT y.lane, v.state, v.n FROM @.change y CROSS JOIN LATERAL (VALUES (y.old, -y.n), (y.new, y.n)) v(state, n)
      WHERE v.state > 0 AND y.xid >= (SELECT pg_snapshot_xmin(f.folded) FROM @.fold f)
        AND NOT pg_visible_in_snapshot(y.xid, (SELECT f.folded FROM @.fold f))) z
  GROUP BY z.lane, z.state HAVING sum(z.n) <> 0
$$;

-- Adds what has changed to the totals; at most about once a second, whoever asks.
CREATE FUNCTION @.fold() RETURNS void LANGUAGE plpgsql @set AS $$
DECLARE
  f @.fold;
  v_now bigint := @.clock();
BEGIN
  SELECT * INTO f FROM @.fold WHERE folded_at < v_now - 900000 FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN; END IF;
  WITH s AS MATERIALIZED (SELECT pg_current_snapshot() AS snapshot),
  y AS (
    SELECT * FROM @.change WHERE xid >= pg_snapshot_xmin(f.folded) AND NOT pg_visible_in_snapshot(xid, f.folded)),
  t AS (
    INSERT INTO @.total AS o SELECT y.lane, v.state, sum(v.n) FROM y
        CROSS JOIN LATERAL (VALUES (y.old, -y.n), (y.new, y.n)) v(state, n)
      WHERE v.state > 0 GROUP BY y.lane, v.state HAVING sum(v.n) <> 0
    ON CONFLICT (lane, state) DO UPDATE SET n = o.n + excluded.n)
  UPDATE @.fold SET folded = s.snapshot, folded_at = v_now FROM s;
  PERFORM @.make_ahead();
  IF f.gone_at < v_now - 10000000 THEN
    DELETE FROM @.change WHERE xid >= pg_snapshot_xmin(f.swept) AND xid < pg_snapshot_xmax(f.gone)
      AND NOT pg_visible_in_snapshot(xid, f.swept) AND pg_visible_in_snapshot(xid, f.gone);
    UPDATE @.fold SET swept = f.gone, gone = f.folded, gone_at = v_now;
  END IF;
END $$;

-- Whether another storage object has changed jobs since that snapshot.
CREATE FUNCTION @.others(p_origin bigint, p_snapshot pg_snapshot, OUT snapshot text, OUT changed boolean)
LANGUAGE plpgsql STABLE AS $$
BEGIN
  SELECT pg_current_snapshot()::text, EXISTS (SELECT FROM @.change WHERE xid >= pg_snapshot_xmin(p_snapshot)
    AND NOT pg_visible_in_snapshot(xid, p_snapshot) AND origin <> p_origin) INTO snapshot, changed;
END $$;
)sql";

}  // namespace quern::inline v1::postgres
