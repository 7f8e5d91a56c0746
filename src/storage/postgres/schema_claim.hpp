#pragma once

namespace quern::inline v1::postgres {

// The claim. A line is what waits in one lane with one priority, in the order of (run_at, id). A claimer
// remembers where each line that is not empty begins, as of a snapshot: so it need not walk over what has
// gone, which a long transaction of anybody's may keep vacuum from removing. What was added before a line's
// beginning since then is found by who added it: transactions that the snapshot does not see.

// A part of two functions, to stand where a text below ends: a claim can't bear the cost of calling one more function.
inline constexpr const char* schema_claim_lines = R"sql(
  -- The lines to look at: those that the claimer knows, and those with new rows. Without a snapshot: all there are.
  IF p_snapshot IS NULL THEN
    WITH RECURSIVE t AS (
      (SELECT r.lane, r.priority FROM @.ready r ORDER BY r.lane, r.priority LIMIT 1)
      UNION ALL
      SELECT n.lane, n.priority FROM t CROSS JOIN LATERAL (SELECT r.lane, r.priority FROM @.ready r
        WHERE (r.lane, r.priority) > (t.lane, t.priority) ORDER BY r.lane, r.priority LIMIT 1) n)
    SELECT pg_current_snapshot(), array_agg(t.lane), array_agg(t.priority), array_agg(-9223372036854775807 - 1),
        array_agg(0::bigint)
      INTO v_snapshot, v_lanes, v_priorities, v_run_ats, v_firsts FROM t;
  ELSE
    SELECT pg_current_snapshot(), array_agg(l.lane), array_agg(l.priority), array_agg(l.at[1]), array_agg(l.at[2])
      INTO v_snapshot, v_lanes, v_priorities, v_run_ats, v_firsts FROM (
      SELECT z.lane, z.priority, min(z.at) AS at FROM (
        SELECT u.lane, u.priority, ARRAY[u.run_at, u.first] AS at FROM unnest(p_lanes, p_priorities, p_run_ats, p_firsts)
          u(lane, priority, run_at, first)
        UNION ALL
        SELECT r.lane, r.priority, ARRAY[r.run_at, r.first] FROM @.ready r WHERE r.xid >= pg_snapshot_xmax(p_snapshot)
        UNION ALL
        SELECT r.lane, r.priority, ARRAY[r.run_at, r.first] FROM @.ready r
          WHERE r.xid = ANY(ARRAY(SELECT pg_snapshot_xip(p_snapshot)))) z
      GROUP BY z.lane, z.priority) l;
  END IF;
)sql";

inline constexpr const char* schema_claim = R"sql(
-- tag 0 a claimed job; 5 one that has expired, and 6 one that can't be read: for set_aside; 1 a line's beginning (lane,
-- priority, run_at, id); 2 the snapshot (txt), the time (created_at), whether the node now waits (run), and when a rate
-- lets the next job start (run_at).
CREATE TYPE @.claimed AS (
  tag smallint, id bigint, lane integer, priority smallint, run_at bigint, run integer, attempt integer, epoch bigint,
  max_attempts integer, created_at bigint, timeout bigint, payload text, tenant text, tags text, created_by text, digest text, trace text,
  parents text, txt text);

-- With ageing: when a job of level 0 would be due that has its turn then.
CREATE FUNCTION @.turn(p_run_at bigint, p_ageing bigint, p_priority integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_priority <= 0 THEN p_run_at
    WHEN p_ageing > 9223372036854775807 / p_priority THEN @.moment(NULL, 9223372036854775807, p_run_at)
    ELSE @.moment(NULL, p_ageing * p_priority, p_run_at) END
$$;

CREATE FUNCTION @.claim(c @.ctx, p_node bigint, p_token bigint, p_limit integer, p_kinds text[], p_kind_limits integer[],
  p_kind_attempts integer[], p_queues text[], p_queue_limits integer[], p_ageing bigint, p_waits boolean, p_rows integer,
  p_snapshot pg_snapshot, p_lanes integer[], p_priorities smallint[], p_run_ats bigint[], p_firsts bigint[])
RETURNS SETOF @.claimed LANGUAGE plpgsql @set AS $$
DECLARE
  v_snapshot pg_snapshot;
  -- The lines, and those of them that are wanted, with the numbers of their kinds and queues.
  v_lanes integer[]; v_priorities smallint[]; v_run_ats bigint[]; v_firsts bigint[];
  w_lanes integer[]; w_priorities smallint[]; w_run_ats bigint[]; w_firsts bigint[]; w_kinds integer[]; w_queues integer[];
  -- What this round wants: jobs in order, and of each the row that it is in.
  r_ids bigint[]; r_tids tid[]; r_firsts bigint[]; r_sizes integer[]; r_lanes integer[]; r_priorities smallint[];
  r_run_ats bigint[]; r_changed boolean[]; r_kinds integer[]; r_queues integer[];
  v_free boolean;  -- only p_limit bounds
  v_picked integer[];
  v_locked tid[];
  v_skipped bigint[] := '{}';
  v_aside bigint[] := '{}';
  v_rows integer := greatest(p_rows, 2);
  v_left integer := p_limit;
  v_got integer := 0;
  v_part integer := 0;
  v_waited boolean := false;
  v_more boolean;
  v_found integer;
  v_used integer := 0;
  v_before integer;
  v_first @.place;  -- of those that were skipped
  v_row record;
  v_job record;
  v_ids bigint[];
  -- The rules that are for the wanted lines, locked, with what each of them still lets start; the lanes that have any,
  -- each with the places of its rules; and those for which one has no room.
  x_rules bigint[]; x_rooms integer[]; x_running bigint[]; x_counted pg_snapshot;
  x_lanes integer[]; x_rules_of text[]; x_closed integer[] := '{}';
  v_rules integer[];
  v_shut boolean;
  v_next_start bigint;
  v_servers_clock boolean := c.now IS NULL;
  o @.claimed;
BEGIN
  c := @.begin(c);
  -- A pause waits for the claims that are under way.
  PERFORM pg_advisory_xact_lock_shared(1903522416, @lock);
  PERFORM FROM @.node WHERE id = p_node AND state = 1 AND p_token <> ALL(fenced) FOR KEY SHARE;
  IF NOT FOUND THEN RETURN; END IF;

)sql";

inline constexpr const char* schema_claim_rest = R"sql(
  SELECT array_agg(l.lane), array_agg(l.priority), array_agg(l.run_at), array_agg(l.first), array_agg(l.kind),
      array_agg(l.queue)
    INTO w_lanes, w_priorities, w_run_ats, w_firsts, w_kinds, w_queues FROM (
    SELECT u.lane, u.priority, u.run_at, u.first, array_position(p_kinds, n.kind) AS kind,
        CASE WHEN p_queues IS NULL THEN 1 ELSE array_position(p_queues, n.queue) END AS queue
      FROM unnest(v_lanes, v_priorities, v_run_ats, v_firsts) u(lane, priority, run_at, first)
      JOIN @.lane n ON n.id = u.lane
      WHERE NOT EXISTS (SELECT FROM @.queue q WHERE q.name = n.queue AND q.paused)) l
    WHERE l.kind IS NOT NULL AND l.queue IS NOT NULL;
  IF p_queues IS NULL THEN p_queue_limits := ARRAY[p_limit]; END IF;
  v_free := p_limit <= ALL(p_kind_limits) AND p_limit <= ALL(p_queue_limits);

  IF w_lanes IS NOT NULL AND EXISTS (SELECT FROM @.limit_rule) THEN
    SELECT array_agg(l.id ORDER BY l.id) INTO x_rules FROM @.limit_rule l
      WHERE EXISTS (SELECT FROM unnest(w_lanes) w(id) JOIN @.lane n ON n.id = w.id
        WHERE l.queue IN ('', n.queue) AND l.kind IN ('', n.kind));
  END IF;
  IF x_rules IS NOT NULL THEN
    PERFORM FROM @.limit_rule WHERE id = ANY(x_rules) ORDER BY id FOR NO KEY UPDATE;
    IF v_servers_clock THEN c.now := @.clock(); END IF;  -- it has waited for others
    SELECT array_agg(k.n ORDER BY l.id), max(k.counted::text)::pg_snapshot,
        array_agg(greatest(0, least(p_limit, CASE WHEN l.max_running > 0 THEN l.max_running - k.n - k.own END,
          CASE WHEN l.starts > 0 THEN @.starts_left(l, c.now) END))::integer ORDER BY l.id)
      INTO x_running, x_counted, x_rooms
      FROM @.limit_rule l CROSS JOIN LATERAL @.count_under(l, 4) k WHERE l.id = ANY(x_rules);
    SELECT array_agg(z.id), array_agg(z.rules::text), coalesce(array_agg(z.id) FILTER (WHERE z.room = 0), '{}')
      INTO x_lanes, x_rules_of, x_closed FROM (
      SELECT n.id, array_agg(array_position(x_rules, l.id)) AS rules, min(x_rooms[array_position(x_rules, l.id)]) AS room
        FROM (SELECT DISTINCT w.id FROM unnest(w_lanes) w(id)) w JOIN @.lane n ON n.id = w.id
        JOIN @.limit_rule l ON l.id = ANY(x_rules) AND l.queue IN ('', n.queue) AND l.kind IN ('', n.kind)
        GROUP BY n.id) z;
    v_free := v_free AND NOT EXISTS (SELECT FROM unnest(x_rooms) r WHERE r > 0 AND r < p_limit);
    IF cardinality(x_closed) > 0 THEN
      SELECT array_agg(w.lane), array_agg(w.priority), array_agg(w.run_at), array_agg(w.first), array_agg(w.kind),
          array_agg(w.queue)
        INTO w_lanes, w_priorities, w_run_ats, w_firsts, w_kinds, w_queues
        FROM unnest(w_lanes, w_priorities, w_run_ats, w_firsts, w_kinds, w_queues) w(lane, priority, run_at, first, kind, queue)
        WHERE w.lane <> ALL(x_closed);
    END IF;
  END IF;

  -- One job, as who runs one at a time asks for it: the first of all lines. What is not as plain as that is left to the
  -- statements for many, which take longer to begin than these take in all.
  IF v_free AND p_limit = 1 AND w_lanes IS NOT NULL THEN
    SELECT l.lane, l.priority, l.kind, x.run_at, x.first INTO v_row
      FROM unnest(w_lanes, w_priorities, w_run_ats, w_firsts, w_kinds) l(lane, priority, run_at, first, kind)
      CROSS JOIN LATERAL (SELECT z.run_at, z.first FROM @.ready z WHERE z.lane = l.lane AND z.priority = l.priority
        AND (z.run_at, z.first) >= (l.run_at, l.first) ORDER BY z.run_at, z.first LIMIT 1) x
      ORDER BY CASE WHEN p_ageing > 0 THEN 0 ELSE l.priority END,
        CASE WHEN p_ageing > 0 THEN @.turn(x.run_at, p_ageing, l.priority) ELSE x.run_at END, x.first LIMIT 1;
    IF FOUND THEN
      SELECT y.ids INTO v_ids FROM @.ready y WHERE y.lane = v_row.lane AND y.priority = v_row.priority
        AND y.run_at = v_row.run_at AND y.first = v_row.first AND y.ids[1] = y.first AND NOT y.changed
        FOR UPDATE SKIP LOCKED;
      IF FOUND THEN
        SELECT b.max_attempts, b.created_at, b.timeout, b.payload, b.tenant, b.tags, b.created_by, b.digest, b.trace, b.parents,
            b.unique_key IS NOT NULL AS keyed
          INTO v_job FROM @.job b WHERE b.id = v_row.first AND b.lane = v_row.lane AND b.payload IS NOT NULL
            AND b.deadline IS NULL;
        IF FOUND THEN
          IF v_job.max_attempts <= 0 THEN v_job.max_attempts := p_kind_attempts[v_row.kind]; END IF;
          IF cardinality(v_ids) = 1 THEN
            DELETE FROM @.ready WHERE lane = v_row.lane AND priority = v_row.priority AND run_at = v_row.run_at
              AND first = v_row.first;
          ELSE
            UPDATE @.ready SET ids = v_ids[2:], first = v_ids[2] WHERE lane = v_row.lane AND priority = v_row.priority
              AND run_at = v_row.run_at AND first = v_row.first;
          END IF;
          INSERT INTO @.claim VALUES (p_token, 1, p_node, c.now, v_row.lane, 1, 1, v_job.max_attempts, v_job.keyed, false,
            v_row.first, v_row.first, ARRAY[v_row.first]);
          INSERT INTO @.change(origin, lane, old, new, n) VALUES (c.origin, v_row.lane, 3, 4, 1);
          RETURN NEXT ROW(0, v_row.first, v_row.lane, v_row.priority, v_row.run_at, 1, 1, 1, v_job.max_attempts,
            v_job.created_at, v_job.timeout, v_job.payload, v_job.tenant, array_to_string(v_job.tags, E'\x1f'),
            v_job.created_by, v_job.digest, v_job.trace, array_to_string(v_job.parents, ','), NULL)::@.claimed;
          v_got := 1;
          v_used := 1;
          w_lanes := NULL;  -- no more is wanted
        END IF;
      END IF;
    END IF;
  END IF;

  -- A job that comes alone, as jobs come to somebody who waits: the statements for many take longer to begin than these
  -- take in all. What is not as plain as that is left to those.
  IF v_free AND p_limit > 1 AND cardinality(w_lanes) = 1 THEN
    SELECT count(*) AS n, min(z.run_at) AS run_at, min(z.first) AS first INTO v_row FROM (
      SELECT y.run_at, y.first FROM @.ready y WHERE y.lane = w_lanes[1] AND y.priority = w_priorities[1]
        AND (y.run_at, y.first) >= (w_run_ats[1], w_firsts[1]) ORDER BY y.run_at, y.first LIMIT 2) z;
    IF v_row.n = 1 THEN
      PERFORM FROM @.ready WHERE lane = w_lanes[1] AND priority = w_priorities[1] AND run_at = v_row.run_at
        AND first = v_row.first AND cardinality(ids) = 1 AND NOT changed FOR UPDATE SKIP LOCKED;
      IF FOUND THEN
        SELECT b.max_attempts, b.created_at, b.timeout, b.payload, b.tenant, b.tags, b.created_by, b.digest, b.trace, b.parents,
            b.unique_key IS NOT NULL AS keyed
          INTO v_job FROM @.job b WHERE b.id = v_row.first AND b.lane = w_lanes[1] AND b.payload IS NOT NULL
            AND b.deadline IS NULL;
        IF FOUND THEN
          IF v_job.max_attempts <= 0 THEN v_job.max_attempts := p_kind_attempts[w_kinds[1]]; END IF;
          DELETE FROM @.ready WHERE lane = w_lanes[1] AND priority = w_priorities[1] AND run_at = v_row.run_at
            AND first = v_row.first;
          INSERT INTO @.claim VALUES (p_token, 1, p_node, c.now, w_lanes[1], 1, 1, v_job.max_attempts, v_job.keyed, false,
            v_row.first, v_row.first, ARRAY[v_row.first]);
          INSERT INTO @.change(origin, lane, old, new, n) VALUES (c.origin, w_lanes[1], 3, 4, 1);
          RETURN NEXT ROW(0, v_row.first, w_lanes[1], w_priorities[1], v_row.run_at, 1, 1, 1, v_job.max_attempts,
            v_job.created_at, v_job.timeout, v_job.payload, v_job.tenant, array_to_string(v_job.tags, E'\x1f'),
            v_job.created_by, v_job.digest, v_job.trace, array_to_string(v_job.parents, ','), NULL)::@.claimed;
          v_got := 1;
          v_used := 1;
          w_lanes := NULL;  -- there was nothing else
        END IF;
      END IF;
    END IF;
  END IF;

)sql";

inline constexpr const char* schema_claim_many = R"sql(
  WHILE v_left > 0 AND w_lanes IS NOT NULL LOOP
    -- The next jobs in order. Of a line that has more rows than were read, only what stands before those is certain.
    SELECT array_agg(q.id), array_agg(q.tid), array_agg(q.first), array_agg(q.size), array_agg(q.lane),
        array_agg(q.priority), array_agg(q.run_at), array_agg(q.changed), array_agg(q.kind), array_agg(q.queue),
        count(*), coalesce(bool_or(q.cut), false)
      INTO r_ids, r_tids, r_firsts, r_sizes, r_lanes, r_priorities, r_run_ats, r_changed, r_kinds, r_queues, v_found, v_more
      FROM (
      WITH chunk AS MATERIALIZED (
        SELECT l.lane, l.priority, l.kind, l.queue, x.*, CASE WHEN p_ageing > 0 THEN 0 ELSE l.priority END AS k1,
          CASE WHEN p_ageing > 0 THEN @.turn(x.run_at, p_ageing, l.priority) ELSE x.run_at END AS k2
        FROM unnest(w_lanes, w_priorities, w_run_ats, w_firsts, w_kinds, w_queues)
          l(lane, priority, run_at, first, kind, queue)
        CROSS JOIN LATERAL (SELECT y.*, row_number() OVER () AS n FROM (
          SELECT z.ctid AS tid, z.run_at, z.first, z.ids, z.changed FROM @.ready z WHERE z.lane = l.lane
            AND z.priority = l.priority AND (z.run_at, z.first) >= (l.run_at, l.first) AND z.first <> ALL(v_skipped)
            ORDER BY z.run_at, z.first LIMIT v_rows) y) x
        WHERE p_kind_limits[l.kind] > 0 AND p_queue_limits[l.queue] > 0 AND l.lane <> ALL(x_closed)),
      horizon AS (SELECT k1, k2, first FROM chunk WHERE n = v_rows ORDER BY k1, k2, first LIMIT 1)
      SELECT x.*, cardinality(x.ids) AS size, u.id, h.first IS NOT NULL AS cut FROM chunk x
        CROSS JOIN LATERAL unnest(x.ids) u(id) LEFT JOIN horizon h ON true
        WHERE (h.first IS NULL OR (x.k1, x.k2, u.id) <= (h.k1, h.k2, h.first)) AND u.id <> ALL(v_aside)
        ORDER BY x.k1, x.k2, u.id LIMIT CASE WHEN v_free THEN v_left END) q;
    IF v_free THEN
      v_left := v_left - v_found;
    ELSIF v_found > 0 THEN
      v_picked := '{}';
      FOR i IN 1..v_found LOOP
        CONTINUE WHEN p_kind_limits[r_kinds[i]] <= 0 OR p_queue_limits[r_queues[i]] <= 0 OR r_lanes[i] = ANY(x_closed);
        IF x_rules IS NOT NULL THEN
          v_rules := coalesce(x_rules_of[array_position(x_lanes, r_lanes[i])], '{}')::integer[];
          v_shut := false;
          FOR k IN 1..cardinality(v_rules) LOOP
            x_rooms[v_rules[k]] := x_rooms[v_rules[k]] - 1;
            v_shut := v_shut OR x_rooms[v_rules[k]] = 0;
          END LOOP;
          IF v_shut THEN
            x_closed := ARRAY(SELECT z.lane FROM unnest(x_lanes, x_rules_of) z(lane, rules)
              WHERE EXISTS (SELECT FROM unnest(z.rules::integer[]) p WHERE x_rooms[p] <= 0));
          END IF;
        END IF;
        v_picked := v_picked || i;
        p_kind_limits[r_kinds[i]] := p_kind_limits[r_kinds[i]] - 1;
        p_queue_limits[r_queues[i]] := p_queue_limits[r_queues[i]] - 1;
        v_left := v_left - 1;
        EXIT WHEN v_left = 0;
      END LOOP;
      SELECT array_agg(r_ids[i]), array_agg(r_tids[i]), array_agg(r_firsts[i]), array_agg(r_sizes[i]), array_agg(r_lanes[i]),
          array_agg(r_priorities[i]), array_agg(r_run_ats[i]), array_agg(r_changed[i]), array_agg(r_kinds[i]),
          array_agg(r_queues[i])
        INTO r_ids, r_tids, r_firsts, r_sizes, r_lanes, r_priorities, r_run_ats, r_changed, r_kinds, r_queues
        FROM unnest(v_picked) i;
    END IF;
    IF r_ids IS NULL THEN
      -- Nothing but what others have locked: wait for the first of it, once.
      IF v_found = 0 AND v_got = 0 AND NOT v_waited AND cardinality(v_skipped) > 0 THEN
        v_waited := true;
        PERFORM FROM @.ready WHERE lane = v_first.lane AND priority = v_first.priority AND run_at = v_first.run_at
          AND first = v_first.first FOR UPDATE;
        v_skipped := '{}';
        CONTINUE;
      END IF;
      EXIT WHEN NOT v_more;
      v_rows := v_rows * 4;
      CONTINUE;
    END IF;

    -- A row that is still the one that was read holds the same ids.
    SELECT array_agg(z.tid) INTO v_locked FROM (
      SELECT y.ctid AS tid, y.first FROM @.ready y WHERE y.ctid = ANY(ARRAY(SELECT DISTINCT x FROM unnest(r_tids) x))
        FOR UPDATE SKIP LOCKED) z
      WHERE z.tid = ANY(r_tids) AND z.first = r_firsts[array_position(r_tids, z.tid)];

    -- Everything about these jobs.
    FOR o IN
      WITH p AS MATERIALIZED (
        SELECT u.* FROM unnest(r_ids, r_tids, r_sizes, r_lanes, r_priorities, r_run_ats, r_changed) WITH ORDINALITY
          u(id, tid, size, lane, priority, run_at, changed, n)
        WHERE u.tid = ANY(v_locked)),
      j AS MATERIALIZED (
        SELECT p.n, p.id, p.tid, p.size, p.lane, p.priority, p.run_at, p.changed, coalesce(h.run, 1) AS run,
          coalesce(h.attempt, 0) + 1 AS attempt, coalesce(h.epoch, 0) + 1 AS epoch,
          CASE WHEN b.max_attempts > 0 THEN b.max_attempts ELSE p_kind_attempts[array_position(p_kinds, a.kind)] END
            AS max_attempts,
          b.created_at, CASE WHEN h.id IS NULL THEN b.deadline ELSE h.deadline END AS deadline, b.timeout, b.payload,
          b.tenant, array_to_string(b.tags, E'\x1f') AS tags, b.created_by, b.digest, b.trace, array_to_string(b.parents, ',') AS parents,
          b.unique_key IS NOT NULL AS keyed, b.lane = p.lane AND b.payload IS NOT NULL AS sound
        FROM p JOIN @.lane a ON a.id = p.lane LEFT JOIN @.job b ON b.id = p.id
        LEFT JOIN @.changed h ON p.changed AND h.id = p.id),
      g AS MATERIALIZED (SELECT * FROM j WHERE sound AND (deadline IS NULL OR deadline > c.now)),
      taken AS MATERIALIZED (SELECT tid, array_agg(id) AS ids, count(*) = min(size) AS whole FROM g GROUP BY tid),
      d AS (DELETE FROM @.ready y WHERE y.ctid = ANY(ARRAY(SELECT tid FROM taken WHERE whole))),
      u AS (
        UPDATE @.ready y SET (ids, first) = (SELECT array_agg(i.id ORDER BY i.id), min(i.id) FROM taken t
            CROSS JOIN LATERAL unnest(y.ids) i(id) WHERE t.tid = y.ctid AND i.id <> ALL(t.ids))
          WHERE y.ctid = ANY(ARRAY(SELECT tid FROM taken WHERE NOT whole))),
      k AS (
        INSERT INTO @.claim SELECT p_token, v_part + row_number() OVER (), p_node, c.now, lane, attempt, epoch, max_attempts,
          keyed, changed, min(id), max(id), array_agg(id ORDER BY id) FROM g
          GROUP BY lane, attempt, epoch, max_attempts, keyed, changed),
      e AS (DELETE FROM @.expiry y USING g WHERE y.deadline = g.deadline AND y.id = g.id),
      q AS (INSERT INTO @.change(origin, lane, old, new, n) SELECT c.origin, lane, 3, 4, count(*) FROM g GROUP BY lane)
      SELECT CASE WHEN NOT coalesce(sound, false) THEN 6 WHEN deadline <= c.now THEN 5 ELSE 0 END, id, lane, priority, run_at,
        run, attempt, epoch, max_attempts, created_at, timeout, payload, tenant, tags, created_by, digest, trace, parents,
        NULL::text
      FROM j ORDER BY n
    LOOP
      IF o.tag = 0 THEN
        v_got := v_got + 1;
      ELSE
        v_aside := v_aside || o.id;
      END IF;
      RETURN NEXT o;
    END LOOP;
    v_part := v_part + 1000000;

    v_used := v_used + coalesce(cardinality(v_locked), 0);
    v_before := v_left;

    -- What was not got in the end counts for no limit.
    IF v_got < p_limit - v_left THEN
      FOR i IN 1..cardinality(r_ids) LOOP
        CONTINUE WHEN EXISTS (SELECT FROM @.claim WHERE id = p_token AND r_ids[i] = ANY(ids));
        p_kind_limits[r_kinds[i]] := p_kind_limits[r_kinds[i]] + 1;
        p_queue_limits[r_queues[i]] := p_queue_limits[r_queues[i]] + 1;
        IF x_rules IS NOT NULL AND NOT v_free THEN
          v_rules := coalesce(x_rules_of[array_position(x_lanes, r_lanes[i])], '{}')::integer[];
          FOR k IN 1..cardinality(v_rules) LOOP
            x_rooms[v_rules[k]] := x_rooms[v_rules[k]] + 1;
          END LOOP;
          x_closed := ARRAY(SELECT z.lane FROM unnest(x_lanes, x_rules_of) z(lane, rules)
            WHERE EXISTS (SELECT FROM unnest(z.rules::integer[]) p WHERE x_rooms[p] <= 0));
        END IF;
        v_left := v_left + 1;
        IF v_locked IS NULL OR r_tids[i] <> ALL(v_locked) THEN
          IF cardinality(v_skipped) = 0 THEN
            v_first.lane := r_lanes[i];
            v_first.priority := r_priorities[i];
            v_first.run_at := r_run_ats[i];
            v_first.first := r_firsts[i];
          END IF;
          v_skipped := v_skipped || r_firsts[i];
        END IF;
      END LOOP;
    END IF;
    EXIT WHEN NOT v_more AND v_left = v_before;
    -- Each row has a job at least, so more are of no use. Else many claimers at one line, who find what the others have
    -- locked, would read the more the more they are.
    IF v_rows < v_left + 2 THEN v_rows := least(v_rows * 2, v_left + 2); END IF;
  END LOOP;

  IF x_rules IS NOT NULL THEN
    UPDATE @.limit_rule l SET running = z.running, counted = x_counted, state = z.state FROM (
        SELECT r.id, x_running[array_position(x_rules, r.id)] AS running, CASE WHEN r.starts = 0 THEN r.state ELSE
            @.add_starts(r, c.now, (SELECT coalesce(sum(cardinality(k.ids)), 0) FROM @.claim k JOIN @.lane n ON n.id = k.lane
              WHERE k.id = p_token AND r.queue IN ('', n.queue) AND r.kind IN ('', n.kind))) END AS state
          FROM @.limit_rule r WHERE r.id = ANY(x_rules)) z
      WHERE l.id = z.id AND (v_got > 0 OR l.state <> z.state);
    SELECT min(c.now + w.wait) INTO v_next_start FROM @.limit_rule l
      CROSS JOIN LATERAL (SELECT @.wait_for_start(l, c.now) AS wait) w
      WHERE l.id = ANY(x_rules) AND l.starts > 0 AND w.wait > 0;
  END IF;

  -- Where the lines begin now.
  RETURN QUERY SELECT 1::smallint, x.first, l.lane, l.priority, x.run_at, NULL::integer, NULL::integer, NULL::bigint,
      NULL::integer, NULL::bigint, NULL::bigint, NULL::text, NULL::text, NULL::text, NULL::text, NULL::text, NULL::text,
      NULL::text, NULL::text
    FROM unnest(v_lanes, v_priorities, v_run_ats, v_firsts) l(lane, priority, run_at, first)
    CROSS JOIN LATERAL (SELECT z.run_at, z.first FROM @.ready z WHERE z.lane = l.lane AND z.priority = l.priority
      AND (z.run_at, z.first) >= (l.run_at, l.first) ORDER BY z.run_at, z.first LIMIT 1) x;
  v_more := false;
  IF v_got < p_limit AND p_waits THEN
    UPDATE @.node SET waits = true WHERE id = p_node AND NOT waits;
    v_more := FOUND;
  END IF;
  RETURN NEXT ROW(2, NULL, NULL, NULL, v_next_start, v_more::integer, v_used, NULL, NULL, c.now, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, v_snapshot::text)::@.claimed;
END $$;

-- Where the lines begin now, for a reader; last, without a lane, the snapshot and the time (run_at).
CREATE FUNCTION @.line_starts(p_snapshot pg_snapshot, p_lanes integer[], p_priorities smallint[], p_run_ats bigint[],
  p_firsts bigint[], p_now bigint)
RETURNS TABLE (lane integer, priority smallint, run_at bigint, first bigint, snapshot text) LANGUAGE plpgsql STABLE @set AS $$
#variable_conflict use_column
DECLARE
  v_snapshot pg_snapshot;
  v_lanes integer[]; v_priorities smallint[]; v_run_ats bigint[]; v_firsts bigint[];
BEGIN
)sql";

inline constexpr const char* schema_claim_end = R"sql(
  RETURN QUERY SELECT l.lane, l.priority, x.run_at, x.first, NULL::text
    FROM unnest(v_lanes, v_priorities, v_run_ats, v_firsts) l(lane, priority, run_at, first)
    CROSS JOIN LATERAL (SELECT z.run_at, z.first FROM @.ready z WHERE z.lane = l.lane AND z.priority = l.priority
      AND (z.run_at, z.first) >= (l.run_at, l.first) ORDER BY z.run_at, z.first LIMIT 1) x;
  RETURN QUERY SELECT NULL::integer, NULL::smallint, coalesce(p_now, @.clock()), NULL::bigint, v_snapshot::text;
END $$;

-- Ends jobs that a claim found expired (p_expired) or unreadable, where they still wait.
CREATE FUNCTION @.set_aside(c @.ctx, p_ids bigint[], p_expired boolean[], p_lanes integer[], p_priorities smallint[],
  p_run_ats bigint[]) RETURNS SETOF @.out LANGUAGE plpgsql @set AS $$
DECLARE
  p @.place;
  v_row record;
  v_unreadable constant text := 'its record in the database is missing or cannot be read';
BEGIN
  c := @.begin(c);
  FOR i IN 1..cardinality(p_ids) LOOP
    IF p_expired[i] THEN
      p := @.take(p_ids[i], true);
      IF p.state < 4 AND p.deadline <= c.now THEN
        RETURN QUERY SELECT * FROM @.end_waiting(c, p, 6, 3, 'not started by its deadline');
      END IF;
      CONTINUE;
    END IF;
    -- Its own record can't say where it stands, but the claim did.
    SELECT first INTO v_row FROM @.ready WHERE lane = p_lanes[i] AND priority = p_priorities[i] AND run_at = p_run_ats[i]
      AND p_ids[i] = ANY(ids) FOR UPDATE;
    IF NOT FOUND THEN CONTINUE; END IF;
    PERFORM @.mend(p_ids[i], p_lanes[i], p_priorities[i], p_run_ats[i]);
    p := @.look(p_ids[i]);
    p.state := 3;
    p.lane := p_lanes[i];
    p.priority := p_priorities[i];
    p.run_at := p_run_ats[i];
    p.first := v_row.first;
    DELETE FROM @.key WHERE id = p_ids[i] AND key = @.key_of(p.unique_key);
    RETURN QUERY SELECT * FROM @.end_waiting(c, p, 6, 5, v_unreadable);
  END LOOP;
END $$;

-- A claim whose answer was lost did not happen: its jobs are ready again, as if it had never been, and it can't come to be
-- any more.
CREATE FUNCTION @.undo_claim(c @.ctx, p_node bigint, p_token bigint) RETURNS SETOF @.out LANGUAGE plpgsql @set AS $$
DECLARE
  k @.claim;
  p @.place;
  v_asked record;
BEGIN
  c := @.begin(c);
  -- Waits for the claim, where it is still under way.
  UPDATE @.node SET fenced = fenced[greatest(1, cardinality(fenced) - 15):] || p_token WHERE id = p_node;
  PERFORM FROM @.node WHERE id = p_node FOR UPDATE;
  FOR k IN SELECT * FROM @.claim WHERE id = p_token AND node = p_node FOR UPDATE LOOP
    INSERT INTO @.ready(lane, priority, changed, run_at, first, ids)
      SELECT k.lane, w.priority, k.changed, w.run_at, i.id, ARRAY[i.id] FROM unnest(k.ids) i(id)
        JOIN @.job j ON j.id = i.id LEFT JOIN @.changed h ON h.id = i.id
        CROSS JOIN LATERAL (SELECT coalesce(h.priority, j.priority) AS priority,
          CASE WHEN h.id IS NULL THEN j.run_at ELSE h.run_at END AS run_at) w;
    INSERT INTO @.expiry SELECT w.deadline, i.id FROM unnest(k.ids) i(id) JOIN @.job j ON j.id = i.id
      LEFT JOIN @.changed h ON h.id = i.id
      CROSS JOIN LATERAL (SELECT CASE WHEN h.id IS NULL THEN j.deadline ELSE h.deadline END AS deadline) w
      WHERE w.deadline IS NOT NULL ON CONFLICT DO NOTHING;
    INSERT INTO @.change(origin, lane, old, new, n) VALUES (c.origin, k.lane, 4, 3, cardinality(k.ids));
    DELETE FROM @.claim WHERE id = k.id AND part = k.part;
    RETURN NEXT @.waits(3, NULL);
    -- What was asked to stop meanwhile has nobody who would.
    FOR v_asked IN DELETE FROM @.cancel WHERE id = ANY(k.ids) RETURNING id, reason LOOP
      p := @.take(v_asked.id, true);
      RETURN QUERY SELECT * FROM @.end_waiting(c, p, 7, 0, v_asked.reason);
    END LOOP;
  END LOOP;
END $$;
)sql";

}  // namespace quern::inline v1::postgres
