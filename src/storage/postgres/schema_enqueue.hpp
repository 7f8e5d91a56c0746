#pragma once

namespace quern::inline v1::postgres {

// The insert of any jobs, one after the other: with unique keys, parents and limits of queues. Jobs come as
// JSON, see job_json.cpp.

inline constexpr const char* schema_enqueue = R"sql(
CREATE TYPE @.new_job AS (
  id bigint, lane integer, priority smallint, max_attempts integer, payload text, at bigint, after bigint,
  deadline_at bigint, deadline_after bigint, timeout bigint, tenant text, tags text[], key text, period bigint,
  states smallint, conflict smallint, parents bigint[], policy smallint, created_by text, digest text,
  trace text);

CREATE FUNCTION @.jobs_of(p_jobs jsonb) RETURNS SETOF @.new_job LANGUAGE sql IMMUTABLE ROWS 10 AS $$
  SELECT r.* FROM jsonb_array_elements(p_jobs) WITH ORDINALITY e(value, n)
    CROSS JOIN LATERAL jsonb_populate_record(NULL::@.new_job, e.value) r ORDER BY e.n
$$;

-- Whether the queues that have a limit have room for all of these.
CREATE FUNCTION @.has_room(c @.ctx, p_jobs jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  q record;
  j record;
  v_coming bigint;
  v_there bigint;
  v_keys text[];
  v_holder @.place;
BEGIN
  FOR q IN SELECT name, max_waiting FROM @.queue WHERE max_waiting > 0 AND name IN (
      SELECT l.queue FROM @.jobs_of(p_jobs) x JOIN @.lane l ON l.id = x.lane) ORDER BY name LOOP
    v_coming := 0;
    v_keys := '{}';
    FOR j IN SELECT x.id, x.key, x.conflict, l.queue FROM @.jobs_of(p_jobs) x JOIN @.lane l ON l.id = x.lane LOOP
      IF j.key IS NOT NULL THEN
        IF j.key = ANY(v_keys) THEN CONTINUE; END IF;
        v_keys := v_keys || j.key;
      END IF;
      IF j.queue <> q.name OR EXISTS (SELECT FROM @.job WHERE id = j.id) THEN CONTINUE; END IF;
      IF j.key IS NOT NULL THEN
        SELECT h.* INTO v_holder FROM @.key k CROSS JOIN LATERAL @.look(k.id) h
          WHERE k.key = @.key_of(j.key) AND k.until > c.now;
        -- It is not added, or takes the place of one that waits; which may stand in another queue.
        IF FOUND AND v_holder.id IS NOT NULL AND NOT (coalesce(j.conflict, 0) = 1 AND v_holder.state < 4
            AND (SELECT queue FROM @.lane WHERE id = v_holder.lane) <> q.name) THEN
          CONTINUE;
        END IF;
      END IF;
      v_coming := v_coming + 1;
    END LOOP;
    IF v_coming = 0 THEN CONTINUE; END IF;
    SELECT coalesce(sum(n.n), 0) INTO v_there FROM @.counts() n JOIN @.lane l ON l.id = n.lane
      WHERE l.queue = q.name AND n.state < 4;
    IF v_there + v_coming > q.max_waiting THEN RETURN false; END IF;
  END LOOP;
  RETURN true;
END $$;

-- Adds the jobs in order; answers numbered from p_n. p_stood, p_stand: for jobs of this call that were not added, the
-- holder of their key, which is the parent in their stead.
CREATE FUNCTION @.add_jobs(c @.ctx, p_jobs jsonb, p_n bigint, p_stood bigint[], p_stand bigint[])
RETURNS SETOF @.out LANGUAGE plpgsql AS $$
DECLARE
  j @.new_job;
  p @.place;
  h @.place;
  v_n bigint := p_n - 1;
  v_parents bigint[];
  v_parent bigint;
  v_open bigint[];
  v_lost text;
  v_run_at bigint;
  v_deadline bigint;
  v_state smallint;
  v_status integer;
  v_holder bigint;
  v_key text;
BEGIN
  FOR j IN SELECT * FROM @.jobs_of(p_jobs) LOOP
    v_n := v_n + 1;
    v_status := 0;
    v_holder := NULL;
    IF EXISTS (SELECT FROM @.job WHERE id = j.id) THEN
      RETURN NEXT @.result(v_n, 1, NULL);
      CONTINUE;
    END IF;
    v_run_at := @.moment(j.at, j.after, c.now);

    -- Parents: each once, before anything is there that could be its own.
    v_parents := NULL;
    v_open := '{}';
    v_lost := NULL;
    IF j.parents IS NOT NULL THEN
      FOREACH v_parent IN ARRAY j.parents LOOP
        v_parent := coalesce(p_stand[array_position(p_stood, v_parent)], v_parent);
        IF v_parent = ANY(v_parents) THEN CONTINUE; END IF;
        v_parents := v_parents || v_parent;
        h := @.take(v_parent, false);
        IF h.id IS NULL THEN
          RAISE EXCEPTION USING ERRCODE = 'QU001', MESSAGE = format('parents|there is no job %s', v_parent);
        END IF;
      END LOOP;
    END IF;

    IF j.key IS NOT NULL THEN
      v_key := @.key_of(j.key);
      <<meet>> LOOP
        SELECT id INTO v_holder FROM @.key WHERE key = v_key AND until > c.now;
        IF NOT FOUND THEN
          -- Waits for whoever takes it at the same time.
          INSERT INTO @.key AS k VALUES (v_key, j.id, @.key_until(j.period, c.now)) ON CONFLICT (key) DO UPDATE
            SET id = excluded.id, until = excluded.until WHERE k.until <= c.now;
          EXIT meet WHEN FOUND;
          CONTINUE meet;
        END IF;
        IF v_holder = j.id THEN v_holder := NULL; EXIT meet; END IF;
        IF j.conflict IN (1, 2) THEN
          h := @.take(v_holder, true);
        ELSE
          h := @.look(v_holder);
        END IF;
        -- Meanwhile it may be somebody else's, or free.
        CONTINUE meet WHEN NOT EXISTS (SELECT FROM @.key WHERE key = v_key AND id = v_holder);
        IF h.id IS NULL OR (h.state > 4 AND (h.unique_key IS NULL OR h.unique_key <> j.key)) THEN
          -- What could not be read when it was set aside left its key behind.
          UPDATE @.key SET id = j.id, until = @.key_until(j.period, c.now) WHERE key = v_key;
          v_holder := NULL;
        ELSIF j.conflict = 1 AND h.state < 4 THEN
          RETURN QUERY SELECT * FROM @.end_waiting(c, h, 7, 0, format('replaced by job %s', j.id));
          INSERT INTO @.key AS k VALUES (v_key, j.id, @.key_until(j.period, c.now)) ON CONFLICT (key) DO UPDATE
            SET id = excluded.id, until = excluded.until;
          v_status := 3;
        ELSIF j.conflict = 2 AND h.state IN (2, 3) THEN
          PERFORM @.leave(h);
          v_state := h.state;
          h.run_at := v_run_at;
          h.changed := true;
          PERFORM @.save(h);
          v_state := @.let_wait(c, h, v_state);
          RETURN NEXT @.waits(v_state, v_run_at);
          IF c.events THEN
            RETURN NEXT @.event(14, h.id, h.lane, h.attempt, h.epoch, c.now, v_run_at, 0,
              format('rescheduled by job %s', j.id));
          END IF;
          v_status := 4;
        ELSE
          v_status := 2;
        END IF;
        EXIT meet;
      END LOOP;
      IF v_status IN (2, 4) THEN
        p_stood := p_stood || j.id;
        p_stand := p_stand || v_holder;
        RETURN NEXT @.result(v_n, v_status, v_holder);
        CONTINUE;
      END IF;
    END IF;

    v_deadline := CASE WHEN j.deadline_at IS NOT NULL OR j.deadline_after IS NOT NULL
      THEN @.moment(j.deadline_at, j.deadline_after, c.now) END;
    INSERT INTO @.job VALUES (j.id, j.lane, j.priority, j.max_attempts, v_run_at, c.now, v_deadline, j.timeout, j.policy,
      j.states, j.period, v_parents, j.tags, j.tenant, j.key, j.created_by, j.digest, j.trace, j.payload)
      ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
      -- The same insert, sent twice at once: the other one was first, and holds the key if anybody does.
      RETURN NEXT @.result(v_n, 1, NULL);
      CONTINUE;
    END IF;
    IF j.tags IS NOT NULL THEN
      INSERT INTO @.tag SELECT DISTINCT t, j.id FROM unnest(j.tags) t;
    END IF;

    -- As they stand now: what was replaced may have been one of them.
    IF v_parents IS NOT NULL THEN
      FOREACH v_parent IN ARRAY v_parents LOOP
        SELECT state INTO v_state FROM @.outcome WHERE id = v_parent;
        IF NOT FOUND THEN
          v_open := v_open || v_parent;
        ELSIF v_state = 5 OR j.policy = 1 THEN
          NULL;
        ELSIF j.policy = 2 THEN
          v_open := v_open || v_parent;
        ELSIF v_lost IS NULL THEN
          v_lost := format('its parent %s is %s', v_parent, CASE v_state WHEN 6 THEN 'dead' ELSE 'cancelled' END);
        END IF;
      END LOOP;
    END IF;
    p := ROW(j.id, j.lane, j.priority, j.max_attempts, c.now, v_run_at, v_deadline, 0, false, 1, 0, 0, 0, 0, NULL, j.key,
      j.period, j.states, NULL, NULL, NULL, NULL, NULL);
    IF c.events THEN
      RETURN NEXT @.event(0, j.id, j.lane, 0, 0, c.now, v_run_at, 0, NULL);
    END IF;
    IF v_lost IS NOT NULL THEN
      PERFORM @.put_end(c, p, 7, 0, v_lost, NULL);
      IF c.events THEN
        RETURN NEXT @.event(12, j.id, j.lane, 0, 0, c.now, NULL, 0, v_lost);
      END IF;
    ELSIF cardinality(v_open) > 0 THEN
      INSERT INTO @.dep SELECT parent, j.id, coalesce(j.policy, 0) FROM unnest(v_open) parent;
      INSERT INTO @.blocked VALUES (j.id, j.lane);
      INSERT INTO @.change(origin, lane, old, new, n) VALUES (c.origin, j.lane, 0, 1, 1);
      IF v_deadline IS NOT NULL THEN
        INSERT INTO @.expiry VALUES (v_deadline, j.id) ON CONFLICT DO NOTHING;
      END IF;
      IF c.events THEN
        RETURN NEXT @.event(1, j.id, j.lane, 0, 0, c.now, NULL, 0, NULL);
      END IF;
    ELSE
      v_state := @.let_wait(c, p, 0);
      RETURN NEXT @.waits(v_state, v_run_at);
    END IF;
    IF v_deadline IS NOT NULL AND v_lost IS NULL THEN RETURN NEXT @.waits(2, v_deadline); END IF;
    RETURN NEXT @.result(v_n, v_status, v_holder);
  END LOOP;
END $$;

CREATE FUNCTION @.key_until(p_period bigint, p_now bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN coalesce(p_period, 0) > 0 THEN @.moment(NULL, p_period, p_now) ELSE 9223372036854775807 END
$$;

CREATE FUNCTION @.insert_any(c @.ctx, p_jobs jsonb) RETURNS SETOF @.out LANGUAGE plpgsql @set AS $$
BEGIN
  c := @.begin(c);
  -- So that no two inserts take the same room.
  IF EXISTS (SELECT FROM @.queue WHERE max_waiting > 0) THEN
    PERFORM FROM @.queue WHERE max_waiting > 0 AND name IN (SELECT l.queue FROM @.jobs_of(p_jobs) x
      JOIN @.lane l ON l.id = x.lane) ORDER BY name FOR NO KEY UPDATE;
  END IF;
  IF NOT @.has_room(c, p_jobs) THEN
    RETURN QUERY SELECT (@.result(i, 5, NULL)).* FROM generate_series(0, jsonb_array_length(p_jobs) - 1) i;
    RETURN;
  END IF;
  RETURN QUERY SELECT * FROM @.add_jobs(c, p_jobs, 0, '{}', '{}');
  PERFORM @.wake(c.origin);
END $$;

-- The same where records are as they were seen, which then change: c, k a record, s as it was seen, v as it becomes. A
-- tag 9: one is not.
CREATE FUNCTION @.insert_if(c @.ctx, p_jobs jsonb, p_changes jsonb) RETURNS SETOF @.out LANGUAGE plpgsql @set AS $$
DECLARE
  r record;
  v_done boolean;
BEGIN
  c := @.begin(c);
  IF EXISTS (SELECT FROM @.queue WHERE max_waiting > 0) THEN
    PERFORM FROM @.queue WHERE max_waiting > 0 AND name IN (SELECT l.queue FROM @.jobs_of(p_jobs) x
      JOIN @.lane l ON l.id = x.lane) ORDER BY name FOR NO KEY UPDATE;
  END IF;
  BEGIN
    -- Each waits for whoever is at the record, and then sees what that one has made of it.
    FOR r IN SELECT x.* FROM jsonb_to_recordset(p_changes) x(c text COLLATE "C", k text COLLATE "C", s text, v text)
        ORDER BY x.c, x.k LOOP
      IF r.s IS NULL AND r.v IS NULL THEN
        v_done := NOT EXISTS (SELECT FROM @.record WHERE collection = r.c AND key = r.k);
      ELSIF r.s IS NULL THEN
        INSERT INTO @.record VALUES (r.c, r.k, r.v) ON CONFLICT DO NOTHING;
        v_done := FOUND;
      ELSIF r.v IS NULL THEN
        DELETE FROM @.record WHERE collection = r.c AND key = r.k AND value = r.s;
        v_done := FOUND;
      ELSE
        UPDATE @.record SET value = r.v WHERE collection = r.c AND key = r.k AND value = r.s;
        v_done := FOUND;
      END IF;
      IF NOT v_done THEN RAISE EXCEPTION USING ERRCODE = 'QU009'; END IF;
    END LOOP;
    IF NOT @.has_room(c, p_jobs) THEN RAISE EXCEPTION USING ERRCODE = 'QU005'; END IF;
  EXCEPTION
    WHEN SQLSTATE 'QU009' THEN  -- QU000 would be all of them
      -- The same call, sent twice?
      IF EXISTS (SELECT FROM jsonb_to_recordset(p_changes) x(c text COLLATE "C", k text COLLATE "C", v text)
            LEFT JOIN @.record y ON y.collection = x.c AND y.key = x.k WHERE y.value IS DISTINCT FROM x.v)
          OR EXISTS (SELECT FROM @.jobs_of(p_jobs) x WHERE NOT EXISTS (SELECT FROM @.job j WHERE j.id = x.id)) THEN
        RETURN NEXT ROW(9, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::@.out;
        RETURN;
      END IF;
    WHEN SQLSTATE 'QU005' THEN
      RETURN QUERY SELECT (@.result(i, 5, NULL)).* FROM generate_series(0, jsonb_array_length(p_jobs) - 1) i;
      RETURN;
  END;
  IF jsonb_array_length(p_jobs) = 0 THEN RETURN; END IF;
  RETURN QUERY SELECT * FROM @.add_jobs(c, p_jobs, 0, '{}', '{}');
  PERFORM @.wake(c.origin);
END $$;
)sql";

}  // namespace quern::inline v1::postgres
