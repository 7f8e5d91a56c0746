#pragma once

namespace quern::inline v1::postgres {

// What somebody asks of single jobs. Each id is answered by a result with its number.

inline constexpr const char* schema_commands = R"sql(
CREATE FUNCTION @.cancel(c @.ctx, p_ids bigint[], p_reason text) RETURNS SETOF @.out LANGUAGE plpgsql @set AS $$
DECLARE p @.place;
BEGIN
  c := @.begin(c);
  FOR i IN 1..cardinality(p_ids) LOOP
    p := @.take(p_ids[i], true);
    IF p.id IS NULL THEN
      RETURN NEXT @.result(i - 1, 3, NULL);
    ELSIF p.state > 4 THEN
      RETURN NEXT @.result(i - 1, 2, NULL);
    ELSIF p.state < 4 THEN
      RETURN QUERY SELECT * FROM @.end_waiting(c, p, 7, 0, p_reason);
      RETURN NEXT @.result(i - 1, 0, NULL);
    ELSE
      INSERT INTO @.cancel VALUES (p.id, p_reason) ON CONFLICT DO NOTHING;
      IF FOUND THEN
        -- Moves nothing, but its node is to notice.
        INSERT INTO @.change(origin, lane, old, new, n) VALUES (c.origin, p.lane, 0, 0, 0);
        IF c.events THEN
          RETURN NEXT @.event(11, p.id, p.lane, p.attempt, p.epoch, c.now, NULL, 0, p_reason);
        END IF;
        PERFORM pg_notify('@channel', c.origin::text);
      END IF;
      RETURN NEXT @.stop(p.id);
      RETURN NEXT @.result(i - 1, 1, NULL);
    END IF;
  END LOOP;
  PERFORM @.wake(c.origin);
END $$;

-- Takes what is kept of an end away.
CREATE FUNCTION @.forget_end(p_id bigint) RETURNS void LANGUAGE sql AS $$
  DELETE FROM @.outcome WHERE id = p_id
$$;

CREATE FUNCTION @.retry(c @.ctx, p_ids bigint[], p_reason text) RETURNS SETOF @.out LANGUAGE plpgsql @set AS $$
DECLARE
  p @.place;
  v_old smallint;
  v_holder bigint;
  v_until bigint;
BEGIN
  c := @.begin(c);
  FOR i IN 1..cardinality(p_ids) LOOP
    p := @.take(p_ids[i], true);
    IF p.id IS NULL THEN
      RETURN NEXT @.result(i - 1, 3, NULL);
      CONTINUE;
    ELSIF p.state < 5 THEN
      RETURN NEXT @.result(i - 1, 1, NULL);
      CONTINUE;
    END IF;
    IF p.unique_key IS NOT NULL THEN
      v_until := @.key_until(p.unique_period, p.created_at);
      INSERT INTO @.key AS y VALUES (@.key_of(p.unique_key), p.id, v_until) ON CONFLICT (key) DO UPDATE
        SET id = excluded.id, until = excluded.until WHERE y.id = excluded.id OR y.until <= c.now;
      IF NOT FOUND THEN
        RETURN NEXT @.result(i - 1, 2, NULL);
        CONTINUE;
      END IF;
    END IF;
    v_old := p.state;
    PERFORM @.forget_end(p.id);
    DELETE FROM @.progress WHERE id = p.id;
    DELETE FROM @.step WHERE job = p.id;
    p.run := p.run + 1;
    p.attempt := 0;
    p.crashes := 0;
    p.snoozes := 0;
    p.run_at := c.now;
    p.deadline := NULL;
    p.changed := true;
    PERFORM @.save(p);
    PERFORM @.let_wait(c, p, v_old);
    RETURN NEXT @.waits(3, p.run_at);
    IF c.events THEN
      RETURN NEXT @.event(6, p.id, p.lane, 0, p.epoch, c.now, p.run_at, 0, p_reason);
    END IF;
    RETURN NEXT @.result(i - 1, 0, NULL);
  END LOOP;
  PERFORM @.wake(c.origin);
END $$;

-- A new time, or (p_priority not null) a new priority, for jobs that wait.
CREATE FUNCTION @.change_waiting(c @.ctx, p_ids bigint[], p_at bigint, p_after bigint, p_priority smallint, p_reason text)
RETURNS SETOF @.out LANGUAGE plpgsql @set AS $$
DECLARE
  p @.place;
  v_old smallint;
  v_state smallint;
BEGIN
  c := @.begin(c);
  FOR i IN 1..cardinality(p_ids) LOOP
    p := @.take(p_ids[i], true);
    IF p.id IS NULL OR p.state >= 4 THEN
      RETURN NEXT @.result(i - 1, CASE WHEN p.id IS NULL THEN 3 WHEN p.state = 4 THEN 1 ELSE 2 END, NULL);
      CONTINUE;
    END IF;
    v_old := p.state;
    IF v_old > 1 THEN PERFORM @.leave(p); END IF;
    IF p_priority IS NULL THEN
      p.run_at := @.moment(p_at, p_after, c.now);
    ELSE
      p.priority := p_priority;
    END IF;
    p.changed := true;
    PERFORM @.save(p);
    IF v_old = 3 AND p_priority IS NOT NULL THEN
      -- Ready it stays, whatever became of the clock.
      v_state := @.let_wait(ROW(greatest(c.now, p.run_at), c.origin, c.events)::@.ctx, p, v_old);
    ELSIF v_old > 1 THEN
      v_state := @.let_wait(c, p, v_old);
    END IF;
    IF v_old > 1 THEN RETURN NEXT @.waits(v_state, p.run_at); END IF;
    IF c.events THEN
      RETURN NEXT @.event(CASE WHEN p_priority IS NULL THEN 14 ELSE 15 END, p.id, p.lane, p.attempt, p.epoch, c.now,
        p.run_at, 0, p_reason);
    END IF;
    RETURN NEXT @.result(i - 1, 0, NULL);
  END LOOP;
  PERFORM @.wake(c.origin);
END $$;

-- What is kept of jobs that have left the places where jobs stand; not their keys and counts.
CREATE FUNCTION @.erase_rows(p_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM @.tag t USING @.job j WHERE j.id = ANY(p_ids) AND j.tags IS NOT NULL AND t.tag = ANY(j.tags) AND t.id = j.id;
  DELETE FROM @.job WHERE id = ANY(p_ids);
  DELETE FROM @.changed WHERE id = ANY(p_ids);
  DELETE FROM @.error WHERE job = ANY(p_ids);
  DELETE FROM @.step WHERE job = ANY(p_ids);
  DELETE FROM @.progress WHERE id = ANY(p_ids);
END $$;

CREATE FUNCTION @.erase(c @.ctx, p_ids bigint[]) RETURNS SETOF @.out LANGUAGE plpgsql @set AS $$
DECLARE p @.place;
BEGIN
  c := @.begin(c);
  FOR i IN 1..cardinality(p_ids) LOOP
    p := @.take(p_ids[i], true);
    IF p.id IS NULL OR p.state = 4 THEN
      RETURN NEXT @.result(i - 1, CASE WHEN p.id IS NULL THEN 3 ELSE 1 END, NULL);
      CONTINUE;
    ELSIF EXISTS (SELECT FROM @.dep WHERE parent = p.id) THEN
      RETURN NEXT @.result(i - 1, 2, NULL);
      CONTINUE;
    END IF;
    IF p.state > 4 THEN
      PERFORM @.forget_end(p.id);
    ELSE
      PERFORM @.leave(p);
    END IF;
    INSERT INTO @.change(origin, lane, old, new, n) VALUES (c.origin, p.lane, p.state, 0, 1);
    IF p.unique_key IS NOT NULL THEN
      DELETE FROM @.key WHERE key = @.key_of(p.unique_key) AND id = p.id;
    END IF;
    PERFORM @.erase_rows(ARRAY[p.id]);
    IF c.events THEN
      RETURN NEXT @.event(16, p.id, p.lane, p.attempt, p.epoch, c.now, NULL, 0, NULL);
    END IF;
    RETURN NEXT @.result(i - 1, 0, NULL);
  END LOOP;
END $$;
)sql";

}  // namespace quern::inline v1::postgres
