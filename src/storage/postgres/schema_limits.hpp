#pragma once

namespace quern::inline v1::postgres {

// Rules for how many jobs run and start. The arithmetic of rates is that of rate_state.cpp; the conformance suite
// runs both against one model.
//
// A claim locks the rules that are for its lines, in the order of their ids, and counts what runs in a statement
// that begins after that: so two claims under one rule come one after the other, and the later one sees what the
// earlier one has started.

inline constexpr const char* schema_limits = R"sql(
-- queue, kind: '' for any. starts: 0 for no rate. state: what the rate has let start. running: jobs that ran as of the
-- snapshot counted.
CREATE TABLE @.limit_rule(
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE,
  queue text COLLATE "C" NOT NULL, kind text COLLATE "C" NOT NULL, max_running bigint NOT NULL, starts bigint NOT NULL,
  per bigint NOT NULL, algorithm smallint NOT NULL, burst bigint NOT NULL, state bigint[] NOT NULL DEFAULT '{}',
  running bigint, counted pg_snapshot) WITH (fillfactor = 50);

-- How full a bucket is.
CREATE FUNCTION @.credit(l @.limit_rule, p_now bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_full bigint := (CASE WHEN l.burst > 0 THEN l.burst ELSE l.starts END) * l.per;
  v_missing bigint;
  v_passed bigint;
BEGIN
  IF cardinality(l.state) = 0 THEN RETURN v_full; END IF;
  v_missing := v_full - least(l.state[2], v_full);
  v_passed := greatest(0, p_now - l.state[1]);
  IF v_passed >= (v_missing + l.starts - 1) / l.starts THEN RETURN v_full; END IF;
  RETURN v_full - v_missing + v_passed * l.starts;
END $$;

-- What has started in the window that ends now; p_end: where it ends.
CREATE FUNCTION @.window_used(l @.limit_rule, p_now bigint, OUT p_end bigint, OUT used bigint) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE v_last integer := cardinality(l.state);
BEGIN
  p_end := greatest(p_now, l.state[v_last - 1]);  -- a null is passed over
  used := 0;
  FOR i IN 1..v_last BY 3 LOOP
    IF p_end - l.state[i + 1] < l.per THEN used := used + l.state[i + 2]; END IF;
  END LOOP;
END $$;

CREATE FUNCTION @.starts_left(l @.limit_rule, p_now bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF l.algorithm = 1 THEN RETURN @.credit(l, p_now) / l.per; END IF;
  RETURN greatest(0, l.starts - (SELECT w.used FROM @.window_used(l, p_now) w));
END $$;

-- Microseconds until one may start; 0: now.
CREATE FUNCTION @.wait_for_start(l @.limit_rule, p_now bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_credit bigint;
  w record;
  v_left bigint;
BEGIN
  IF l.algorithm = 1 THEN
    v_credit := @.credit(l, p_now);
    RETURN CASE WHEN v_credit >= l.per THEN 0 ELSE (l.per - v_credit + l.starts - 1) / l.starts END;
  END IF;
  SELECT * INTO w FROM @.window_used(l, p_now);
  FOR i IN 1..cardinality(l.state) BY 3 LOOP
    EXIT WHEN w.used < l.starts;
    v_left := l.per - (w.p_end - l.state[i + 1]);
    CONTINUE WHEN v_left <= 0;
    w.used := w.used - l.state[i + 2];
    IF w.used < l.starts THEN RETURN v_left; END IF;
  END LOOP;
  RETURN 0;
END $$;

-- The state after p_count more starts. Also where there are none it follows a clock that was set back.
CREATE FUNCTION @.add_starts(l @.limit_rule, p_now bigint, p_count bigint) RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_last integer := cardinality(l.state);
  v_back bigint;
BEGIN
  IF v_last > 0 THEN
    v_back := CASE WHEN l.algorithm = 1 THEN l.state[1] ELSE l.state[v_last - 1] END - p_now;
    IF v_back > 0 AND l.algorithm = 1 THEN
      l.state[1] := p_now;
    ELSIF v_back > 0 THEN
      FOR i IN 1..v_last BY 3 LOOP
        l.state[i] := l.state[i] - v_back;
        l.state[i + 1] := l.state[i + 1] - v_back;
      END LOOP;
    END IF;
  END IF;
  IF p_count <= 0 THEN RETURN l.state; END IF;
  IF l.algorithm = 1 THEN RETURN ARRAY[p_now, @.credit(l, p_now) - p_count * l.per]; END IF;
  WHILE cardinality(l.state) > 0 AND p_now - l.state[2] >= l.per LOOP
    l.state := l.state[4:];
  END LOOP;
  v_last := cardinality(l.state);
  IF v_last > 0 AND p_now - l.state[v_last - 2] < greatest(1, l.per / 64) THEN
    l.state[v_last - 1] := p_now;
    l.state[v_last] := l.state[v_last] + p_count;
  ELSE
    l.state := l.state || ARRAY[p_now, p_now, p_count];
  END IF;
  IF cardinality(l.state) > 384 THEN  -- the two oldest become one
    l.state := ARRAY[l.state[1], greatest(l.state[2], l.state[5]), l.state[3] + l.state[6]] || l.state[7:];
  END IF;
  RETURN l.state;
END $$;

-- The state of a rate n that takes the place of l.
CREATE FUNCTION @.carried_over(l @.limit_rule, n @.limit_rule, p_now bigint) RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_left bigint;
  v_burst bigint := CASE WHEN n.burst > 0 THEN n.burst ELSE n.starts END;
BEGIN
  IF l.starts = 0 OR n.starts = 0 THEN RETURN '{}'; END IF;
  IF l.algorithm = 2 AND n.algorithm = 2 THEN RETURN l.state; END IF;
  v_left := @.starts_left(l, p_now);
  IF n.algorithm = 2 THEN
    RETURN CASE WHEN v_left >= n.starts THEN '{}' ELSE ARRAY[p_now, p_now, n.starts - v_left] END;
  END IF;
  IF l.algorithm = 1 AND l.per = n.per THEN RETURN ARRAY[p_now, least(@.credit(l, p_now), v_burst * n.per)]; END IF;
  RETURN ARRAY[p_now, least(v_left, v_burst) * n.per];
END $$;

-- The snapshot, in which this transaction is still under way. (pg_current_snapshot leaves it out of those that are, so it
-- looks as if it had ended once a later one has.)
CREATE FUNCTION @.snapshot_before_us() RETURNS pg_snapshot LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_snapshot pg_snapshot := pg_current_snapshot();
  v_us xid8 := pg_current_xact_id_if_assigned();
BEGIN
  IF v_us IS NULL OR NOT pg_visible_in_snapshot(v_us, v_snapshot) THEN RETURN v_snapshot; END IF;
  RETURN (SELECT format('%s:%s:%s', min(x.xid::text::numeric), pg_snapshot_xmax(v_snapshot),
      string_agg(x.xid::text, ',' ORDER BY x.xid::text::numeric))::pg_snapshot
    FROM (SELECT pg_snapshot_xip(v_snapshot) UNION SELECT v_us) x(xid));
END $$;

-- How many jobs of the rule stand in a state: n as of the snapshot counted, and own more by this transaction. What runs is
-- counted from where the last claim under the rule has left it, as long as the changes since then are there.
CREATE FUNCTION @.count_under(l @.limit_rule, p_state integer, OUT n bigint, OUT own bigint, OUT counted pg_snapshot)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  v_now pg_snapshot := @.snapshot_before_us();
  v_from pg_snapshot;
  v_before bigint;
BEGIN
  IF p_state = 4 AND l.counted IS NOT NULL
      AND pg_snapshot_xmin(l.counted) >= (SELECT pg_snapshot_xmax(f.swept) FROM @.fold f) THEN
    v_from := l.counted;
    v_before := l.running;
  ELSE
    SELECT f.folded INTO v_from FROM @.fold f;
    SELECT coalesce(sum(t.n), 0) INTO v_before FROM @.total t JOIN @.lane a ON a.id = t.lane
      WHERE t.state = p_state AND l.queue IN ('', a.queue) AND l.kind IN ('', a.kind);
  END IF;
  SELECT v_before + coalesce(sum(z.n) FILTER (WHERE z.past), 0), coalesce(sum(z.n) FILTER (WHERE NOT z.past), 0),
      v_now
    INTO count_under.n, count_under.own, count_under.counted
    FROM (SELECT CASE WHEN y.new = p_state THEN y.n ELSE -y.n END AS n, pg_visible_in_snapshot(y.xid, v_now) AS past
      FROM @.change y JOIN @.lane a ON a.id = y.lane WHERE y.xid >= pg_snapshot_xmin(v_from)
        AND NOT pg_visible_in_snapshot(y.xid, v_from) AND (y.old = p_state) <> (y.new = p_state)
        AND l.queue IN ('', a.queue) AND l.kind IN ('', a.kind)) z;
END $$;

-- When a rate lets a ready job start that waits for it now; null: none does.
CREATE FUNCTION @.next_start(p_now bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM @.limit_rule WHERE starts > 0) THEN RETURN NULL; END IF;
  RETURN (SELECT min(p_now + w.wait) FROM @.limit_rule l
    CROSS JOIN LATERAL (SELECT @.wait_for_start(l, p_now) AS wait) w
    WHERE l.starts > 0 AND w.wait > 0 AND (SELECT k.n + k.own FROM @.count_under(l, 3) k) > 0);
END $$;

-- All rules, by name, with what runs, and the time that goes for their rates.
CREATE FUNCTION @.limits(p_now bigint) RETURNS TABLE (name text, queue text, kind text, max_running bigint, starts bigint,
  per bigint, algorithm smallint, burst bigint, state text, running bigint, now bigint) LANGUAGE plpgsql STABLE @set AS $$
#variable_conflict use_column
DECLARE v_now bigint := coalesce(p_now, @.clock());
BEGIN
  RETURN QUERY SELECT l.name, l.queue, l.kind, l.max_running, l.starts, l.per, l.algorithm, l.burst,
      array_to_string(l.state, ','), k.n + k.own, v_now
    FROM @.limit_rule l CROSS JOIN LATERAL @.count_under(l, 4) k ORDER BY l.name;
END $$;

CREATE FUNCTION @.set_limit(c @.ctx, p_name text, p_queue text, p_kind text, p_max_running bigint, p_starts bigint,
  p_per bigint, p_algorithm integer, p_burst bigint) RETURNS void LANGUAGE plpgsql @set AS $$
DECLARE
  v_servers_clock boolean := c.now IS NULL;
  l @.limit_rule;
  n @.limit_rule;
BEGIN
  c := @.begin(c);
  -- No claim is under way that does not know of it.
  PERFORM pg_advisory_xact_lock(1903522416, @lock);
  IF v_servers_clock THEN c.now := @.clock(); END IF;
  SELECT * INTO l FROM @.limit_rule WHERE name = p_name;
  IF NOT FOUND THEN
    IF (SELECT count(*) FROM @.limit_rule) >= @max_limit_rules THEN
      RAISE EXCEPTION USING ERRCODE = 'QU001', MESSAGE =
        format('limits|are @max_limit_rules already, no more rules are kept; "%s" is not among them', p_name);
    END IF;
    INSERT INTO @.limit_rule(name, queue, kind, max_running, starts, per, algorithm, burst)
      VALUES (p_name, p_queue, p_kind, p_max_running, p_starts, p_per, p_algorithm, p_burst);
  ELSE
    n := l;
    n.starts := p_starts;
    n.per := p_per;
    n.algorithm := p_algorithm;
    n.burst := p_burst;
    UPDATE @.limit_rule SET queue = p_queue, kind = p_kind, max_running = p_max_running, starts = p_starts, per = p_per,
      algorithm = p_algorithm, burst = p_burst, state = @.carried_over(l, n, c.now), running = NULL, counted = NULL
      WHERE id = l.id;
  END IF;
  PERFORM @.tell_of_limits(c);
END $$;

CREATE FUNCTION @.erase_limit(c @.ctx, p_name text) RETURNS boolean LANGUAGE plpgsql @set AS $$
BEGIN
  c := @.begin(c);
  PERFORM pg_advisory_xact_lock(1903522416, @lock);
  DELETE FROM @.limit_rule WHERE name = p_name;
  IF NOT FOUND THEN RETURN false; END IF;
  PERFORM @.tell_of_limits(c);
  RETURN true;
END $$;

-- There may be work.
CREATE FUNCTION @.tell_of_limits(c @.ctx) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO @.change(origin, lane, old, new, n) SELECT c.origin, id, 0, 0, 0 FROM @.lane ORDER BY id LIMIT 1;
  PERFORM @.wake(c.origin);
END $$;
)sql";

}  // namespace quern::inline v1::postgres
