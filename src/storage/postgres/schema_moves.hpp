#pragma once

namespace quern::inline v1::postgres {

// The steps that the operations are made of: finding and locking a job, taking it from where it stands,
// letting it wait, ending it, and resolving who waits for it. Those with look-ups are in plpgsql, which keeps
// their plans: a function in SQL that is not inlined is planned at each call, for 0.1 ms and more.

inline constexpr const char* schema_moves = R"sql(
CREATE FUNCTION @.clock() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$$;

-- A moment that is absolute (p_at) or after a wait (p_after); far futures saturate.
CREATE FUNCTION @.moment(p_at bigint, p_after bigint, p_now bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_at IS NOT NULL THEN p_at WHEN p_after IS NULL THEN p_now
    WHEN p_now > 0 AND p_after > 9223372036854775807 - p_now THEN 9223372036854775807 ELSE p_now + p_after END
$$;

-- A key as it stands in the table, whose index can't hold long ones.
CREATE FUNCTION @.key_of(p_key text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN octet_length(p_key) <= 1024 THEN p_key
    ELSE left(p_key, 100) || '#' || encode(sha256(convert_to(p_key, 'UTF8')), 'hex') END
$$;

CREATE FUNCTION @.result(p_n bigint, p_state integer, p_other bigint) RETURNS @.out LANGUAGE sql IMMUTABLE AS $$
  SELECT ROW(0, p_n, NULL, p_other, NULL, p_state, NULL, NULL, NULL, NULL, NULL, NULL)::@.out
$$;
CREATE FUNCTION @.event(p_type integer, p_id bigint, p_lane integer, p_attempt integer, p_epoch bigint, p_at bigint,
  p_run_at bigint, p_reason integer, p_message text) RETURNS @.out LANGUAGE sql IMMUTABLE AS $$
  SELECT ROW(1, NULL, p_id, NULL, p_lane, p_type, p_attempt, p_epoch, p_at, p_run_at, p_reason, p_message)::@.out
$$;
-- A job waits: ready, or for its time.
CREATE FUNCTION @.waits(p_state integer, p_run_at bigint) RETURNS @.out LANGUAGE sql IMMUTABLE AS $$
  SELECT ROW(CASE WHEN p_state = 3 THEN 2 ELSE 3 END, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, p_run_at, NULL,
    NULL)::@.out
$$;
CREATE FUNCTION @.stop(p_id bigint) RETURNS @.out LANGUAGE sql IMMUTABLE AS $$
  SELECT ROW(4, NULL, p_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::@.out
$$;

-- What stood as running with a keeper that has gone is rescued from it as from any node that died.
CREATE FUNCTION @.forget_keeper(p_keeper bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE @.keeper SET node = 0, token = 0 WHERE node = p_keeper;
  IF NOT FOUND THEN RETURN; END IF;
  IF EXISTS (SELECT FROM @.claim WHERE node = p_keeper) THEN
    UPDATE @.node SET state = 3 WHERE id = p_keeper;
  ELSE
    DELETE FROM @.node WHERE id = p_keeper;
  END IF;
END $$;

-- What every change begins with. The lock keeps a keeper from coming while changes are under way.
CREATE FUNCTION @.begin(c @.ctx) RETURNS @.ctx LANGUAGE plpgsql AS $$
DECLARE k @.keeper;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(1903522414, @lock);
  SELECT * INTO k FROM @.keeper;
  IF k.node <> 0 AND k.token <> c.origin THEN
    IF NOT pg_try_advisory_xact_lock_shared(1903522419, @lock) THEN
      RAISE EXCEPTION USING ERRCODE = 'QU003', MESSAGE = 'another process keeps its jobs in memory';
    END IF;
    PERFORM @.forget_keeper(k.node);  -- its session has ended
  END IF;
  IF c.now IS NULL THEN c.now := @.clock(); END IF;
  RETURN c;
END $$;

-- Somebody waits to hear of work.
CREATE FUNCTION @.wake(p_origin bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM @.node WHERE waits) THEN RETURN; END IF;
  -- One that somebody else marks as woken at this moment is to hear of this change, too.
  PERFORM pg_notify('@channel', p_origin::text);
  UPDATE @.node SET waits = false
    WHERE id = ANY(ARRAY(SELECT id FROM @.node WHERE waits ORDER BY id FOR NO KEY UPDATE SKIP LOCKED));
END $$;

CREATE FUNCTION @.look(p_id bigint) RETURNS @.place LANGUAGE plpgsql STABLE AS $$
DECLARE p @.place;
BEGIN
  SELECT j.id, j.lane, coalesce(c.priority, j.priority), j.max_attempts, j.created_at, w.run_at, w.deadline,
    coalesce(o.state, CASE WHEN s.id IS NOT NULL THEN 2 WHEN b.id IS NOT NULL THEN 1 WHEN r.first IS NOT NULL THEN 3
      WHEN k.id IS NOT NULL THEN 4 END)::smallint,
    c.id IS NOT NULL, coalesce(c.run, 1), coalesce(o.attempt, k.attempt, c.attempt, 0),
    coalesce(o.epoch, k.epoch, c.epoch, 0), coalesce(c.crashes, 0), coalesce(c.snoozes, 0),
    CASE WHEN o.id IS NOT NULL THEN o.started_at WHEN k.id IS NOT NULL THEN k.at ELSE c.started_at END,
    j.unique_key, j.unique_period, j.unique_states, r.first, k.id, k.part, k.node, k.max_attempts
  INTO p FROM @.job j LEFT JOIN @.changed c ON c.id = j.id LEFT JOIN @.outcome o ON o.id = j.id
    CROSS JOIN LATERAL (SELECT CASE WHEN c.id IS NULL THEN j.run_at ELSE c.run_at END AS run_at,
      CASE WHEN c.id IS NULL THEN j.deadline ELSE c.deadline END AS deadline) w
    LEFT JOIN @.sched s ON s.id = j.id LEFT JOIN @.blocked b ON b.id = j.id
    LEFT JOIN LATERAL (SELECT x.first FROM @.ready x WHERE o.id IS NULL AND s.id IS NULL AND b.id IS NULL
      AND x.lane = j.lane AND x.priority = coalesce(c.priority, j.priority) AND x.run_at = w.run_at
      AND x.first <= j.id AND j.id = ANY(x.ids) ORDER BY x.first DESC LIMIT 1) r ON true
    LEFT JOIN LATERAL (SELECT x.* FROM @.claim x WHERE o.id IS NULL AND s.id IS NULL AND b.id IS NULL
      AND r.first IS NULL AND x.last >= j.id AND x.first <= j.id AND j.id = ANY(x.ids) LIMIT 1) k ON true
  WHERE j.id = p_id;
  RETURN p;
END $$;

-- Finds a job and locks it where it stands, against each other (p_alone) or only against those who move it. Null: there
-- is none.
CREATE FUNCTION @.take(p_id bigint, p_alone boolean) RETURNS @.place LANGUAGE plpgsql AS $$
DECLARE p @.place; q @.place;
BEGIN
  FOR i IN 1..1000 LOOP
    p := @.look(p_id);
    IF p.id IS NULL THEN RETURN NULL; END IF;
    IF p_alone THEN
      CASE p.state
        WHEN 1 THEN PERFORM FROM @.blocked WHERE id = p_id FOR UPDATE;
        WHEN 2 THEN PERFORM FROM @.sched WHERE run_at = p.run_at AND id = p_id FOR UPDATE;
        WHEN 3 THEN PERFORM FROM @.ready WHERE lane = p.lane AND priority = p.priority AND run_at = p.run_at
          AND first = p.first AND p_id = ANY(ids) FOR UPDATE;
        WHEN 4 THEN PERFORM FROM @.claim WHERE id = p.claim AND part = p.part AND p_id = ANY(ids) FOR UPDATE;
        WHEN 5, 6, 7 THEN PERFORM FROM @.outcome WHERE id = p_id FOR UPDATE;
        ELSE NULL;
      END CASE;
    ELSE
      CASE p.state
        WHEN 1 THEN PERFORM FROM @.blocked WHERE id = p_id FOR SHARE;
        WHEN 2 THEN PERFORM FROM @.sched WHERE run_at = p.run_at AND id = p_id FOR SHARE;
        WHEN 3 THEN PERFORM FROM @.ready WHERE lane = p.lane AND priority = p.priority AND run_at = p.run_at
          AND first = p.first AND p_id = ANY(ids) FOR SHARE;
        WHEN 4 THEN PERFORM FROM @.claim WHERE id = p.claim AND part = p.part AND p_id = ANY(ids) FOR SHARE;
        WHEN 5, 6, 7 THEN PERFORM FROM @.outcome WHERE id = p_id FOR SHARE;
        ELSE NULL;
      END CASE;
    END IF;
    -- It may have gone and come back before the lock was there.
    IF p.state IS NOT NULL AND FOUND THEN
      q := @.look(p_id);
      IF q IS NOT DISTINCT FROM p THEN RETURN p; END IF;
    END IF;
  END LOOP;
  RAISE EXCEPTION USING ERRCODE = 'QU004', MESSAGE = format('job %s is in none of the tables that say where jobs stand', p_id);
END $$;

CREATE FUNCTION @.save(p @.place) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO @.changed VALUES (p.id, p.priority, p.run, p.attempt, p.epoch, p.crashes, p.snoozes, p.run_at, p.deadline,
    p.started_at) ON CONFLICT (id) DO UPDATE SET priority = excluded.priority, run = excluded.run,
    attempt = excluded.attempt, epoch = excluded.epoch, crashes = excluded.crashes, snoozes = excluded.snoozes,
    run_at = excluded.run_at, deadline = excluded.deadline, started_at = excluded.started_at;
END $$;

-- Takes a job that was locked from where it waits or runs. What is counted, the next step says.
CREATE FUNCTION @.leave(p @.place) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p.state = 3 THEN
    DELETE FROM @.ready WHERE lane = p.lane AND priority = p.priority AND run_at = p.run_at AND first = p.first
      AND cardinality(ids) = 1;
    IF NOT FOUND THEN
      UPDATE @.ready SET ids = array_remove(ids, p.id), first = CASE WHEN ids[1] = p.id THEN ids[2] ELSE first END
        WHERE lane = p.lane AND priority = p.priority AND run_at = p.run_at AND first = p.first;
    END IF;
  ELSIF p.state = 2 THEN
    DELETE FROM @.sched WHERE run_at = p.run_at AND id = p.id;
  ELSIF p.state = 1 THEN
    DELETE FROM @.blocked WHERE id = p.id;
    DELETE FROM @.dep WHERE child = p.id;
  ELSIF p.state = 4 THEN
    DELETE FROM @.claim WHERE id = p.claim AND part = p.part AND cardinality(ids) = 1;
    IF NOT FOUND THEN
      UPDATE @.claim SET ids = array_remove(ids, p.id) WHERE id = p.claim AND part = p.part;
    END IF;
    RETURN;
  END IF;
  IF p.deadline IS NOT NULL THEN
    DELETE FROM @.expiry WHERE deadline = p.deadline AND id = p.id;
  END IF;
END $$;

-- Lets a job wait for its p.run_at; it comes from p_old (0: it is new). Returns its state: ready where its time has come.
CREATE FUNCTION @.let_wait(c @.ctx, p @.place, p_old integer) RETURNS smallint LANGUAGE plpgsql AS $$
DECLARE v_state smallint := 3;
BEGIN
  IF p.run_at <= c.now THEN
    INSERT INTO @.ready(lane, priority, changed, run_at, first, ids)
      VALUES (p.lane, p.priority, p.changed, p.run_at, p.id, ARRAY[p.id]);
  ELSE
    v_state := 2;
    INSERT INTO @.sched VALUES (p.run_at, p.id, p.lane, p.priority, p.changed);
  END IF;
  IF p.deadline IS NOT NULL THEN
    INSERT INTO @.expiry VALUES (p.deadline, p.id) ON CONFLICT DO NOTHING;
  END IF;
  INSERT INTO @.change(origin, lane, old, new, n) VALUES (c.origin, p.lane, p_old, v_state, 1);
  RETURN v_state;
END $$;

-- Records an end; p.state is where the job comes from. Whoever waits for it is for settle.
CREATE FUNCTION @.put_end(c @.ctx, p @.place, p_state integer, p_reason integer, p_message text, p_result text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO @.outcome VALUES (p.id, p.lane, p_state, p_reason, p.attempt, p.epoch, p.started_at, c.now, p_message,
    p_result);
  INSERT INTO @.change(origin, lane, old, new, n) VALUES (c.origin, p.lane, p.state, p_state, 1);
  IF p.unique_key IS NOT NULL AND (coalesce(p.unique_states, 0) >> (p_state - 5)) & 1 = 0 THEN
    DELETE FROM @.key WHERE key = @.key_of(p.unique_key) AND id = p.id;
  END IF;
END $$;

-- Resolves the dependents of jobs that have ended, and of what ends because of that. A loop, so that a long chain needs no
-- stack.
CREATE FUNCTION @.settle(c @.ctx, p_ids bigint[], p_states smallint[]) RETURNS SETOF @.out LANGUAGE plpgsql AS $$
DECLARE
  v_ids bigint[] := p_ids;
  v_states smallint[] := p_states;
  i integer := 1;
  d record;
  p @.place;
  v_state smallint;
  v_text text;
BEGIN
  IF NOT EXISTS (SELECT FROM @.dep WHERE parent = ANY(p_ids)) THEN RETURN; END IF;
  WHILE i <= cardinality(v_ids) LOOP
    FOR d IN SELECT child, policy FROM @.dep WHERE parent = v_ids[i] ORDER BY child LOOP
      IF v_states[i] <> 5 AND d.policy = 2 THEN CONTINUE; END IF;
      -- Of several parents that end at once, the last one to get this lock sees that there is no other.
      PERFORM FROM @.blocked WHERE id = d.child FOR UPDATE;
      IF NOT FOUND THEN CONTINUE; END IF;
      IF v_states[i] <> 5 AND d.policy = 0 THEN
        p := @.look(d.child);
        PERFORM @.leave(p);
        v_text := format('its parent %s is %s', v_ids[i], CASE v_states[i] WHEN 6 THEN 'dead' ELSE 'cancelled' END);
        PERFORM @.put_end(c, p, 7, 0, v_text, NULL);
        IF c.events THEN
          RETURN NEXT @.event(12, p.id, p.lane, p.attempt, p.epoch, c.now, NULL, 0, v_text);
        END IF;
        v_ids := v_ids || p.id;
        v_states := v_states || 7::smallint;
        CONTINUE;
      END IF;
      DELETE FROM @.dep WHERE parent = v_ids[i] AND child = d.child;
      IF EXISTS (SELECT FROM @.dep WHERE child = d.child) THEN CONTINUE; END IF;
      p := @.look(d.child);
      PERFORM @.leave(p);
      v_state := @.let_wait(c, p, 1);
      RETURN NEXT @.waits(v_state, p.run_at);
    END LOOP;
    i := i + 1;
  END LOOP;
END $$;

-- Ends a job that waits, and was locked.
CREATE FUNCTION @.end_waiting(c @.ctx, p @.place, p_state integer, p_reason integer, p_message text)
RETURNS SETOF @.out LANGUAGE plpgsql AS $$
BEGIN
  PERFORM @.leave(p);
  PERFORM @.put_end(c, p, p_state, p_reason, p_message, NULL);
  IF c.events THEN
    RETURN NEXT @.event(CASE p_state WHEN 6 THEN 13 ELSE 12 END, p.id, p.lane, p.attempt, p.epoch, c.now, NULL, p_reason,
      p_message);
  END IF;
  RETURN QUERY SELECT * FROM @.settle(c, ARRAY[p.id], ARRAY[p_state::smallint]);
END $$;

CREATE FUNCTION @.remember(p_id bigint, p_attempt integer, p_epoch bigint, p_at bigint, p_fault integer, p_message text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO @.error VALUES (p_id, p_epoch, p_attempt, p_at, p_fault, p_message) ON CONFLICT DO NOTHING;
  IF p_epoch > @max_errors THEN
    DELETE FROM @.error WHERE job = p_id AND epoch < (SELECT min(epoch) FROM (
      SELECT epoch FROM @.error WHERE job = p_id ORDER BY epoch DESC LIMIT @max_errors) last);
  END IF;
END $$;

-- Makes a job's record that is missing or can't be read one that can, as far as it is known.
CREATE FUNCTION @.mend(p_id bigint, p_lane integer, p_priority integer, p_run_at bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO @.job(id, lane, priority, max_attempts, run_at, created_at, payload)
    VALUES (p_id, p_lane, p_priority, 0, p_run_at, p_run_at, 'null')
    ON CONFLICT (id) DO UPDATE SET lane = excluded.lane, priority = excluded.priority, run_at = excluded.run_at,
      payload = coalesce(job.payload, excluded.payload)
$$;
)sql";

}  // namespace quern::inline v1::postgres
