#pragma once

namespace quern::inline v1::postgres {

// How runs end: completed ones all at once, others one by one; and what they write meanwhile.

inline constexpr const char* schema_finish = R"sql(
-- Ends one run. Its result is numbered p_n, with the job's state, 0 where the run was lost.
CREATE FUNCTION @.finish_one(c @.ctx, p_n bigint, p_id bigint, p_epoch bigint, p_node bigint, p_claim bigint,
  p_outcome smallint, p_result text, p_message text, p_fault smallint, p_reason smallint, p_at bigint, p_after bigint)
RETURNS SETOF @.out LANGUAGE plpgsql AS $$
DECLARE
  k @.claim;
  p @.place;
  v_asked text;
  v_state integer;
  v_reason integer := 0;
  v_text text := p_message;
BEGIN
  SELECT y.* INTO k FROM @.claim y JOIN @.node n ON n.id = y.node AND n.state = 1
    WHERE y.id = p_claim AND y.node = p_node AND y.epoch = p_epoch AND p_id = ANY(y.ids) FOR UPDATE OF y;
  IF NOT FOUND THEN
    IF c.events THEN
      RETURN NEXT @.event(10, p_id, (SELECT lane FROM @.job WHERE id = p_id), 0, p_epoch, c.now, NULL, 0, NULL);
    END IF;
    RETURN NEXT @.result(p_n, 0, NULL);
    RETURN;
  END IF;
  DELETE FROM @.cancel WHERE id = p_id RETURNING reason INTO v_asked;
  p := @.look(p_id);
  IF p.id IS NULL OR p.lane <> k.lane THEN
    -- Its record was damaged while it ran.
    PERFORM @.mend(p_id, k.lane, 2, k.at);
    p := @.look(p_id);
    IF p_outcome IN (1, 3, 4) AND v_asked IS NULL THEN v_reason := 5; END IF;
  END IF;
  p.state := 4;
  p.lane := k.lane;
  p.attempt := k.attempt;
  p.epoch := k.epoch;
  p.started_at := k.at;
  p.claim := k.id;
  p.part := k.part;
  PERFORM @.leave(p);

  IF p_outcome = 0 THEN
    v_state := 5;
    v_text := NULL;
  ELSE
    IF p_outcome IN (1, 2) THEN
      PERFORM @.remember(p_id, k.attempt, k.epoch, c.now, p_fault, p_message);
      IF c.events THEN
        RETURN NEXT @.event(5, p_id, k.lane, k.attempt, k.epoch, c.now, NULL, 0, p_message);
      END IF;
    END IF;
    IF v_asked IS NOT NULL THEN
      v_state := 7;
      v_text := v_asked;
    ELSIF p_outcome = 5 THEN
      v_state := 7;
      v_text := CASE WHEN p_message = '' THEN 'cancelled' ELSE p_message END;
    ELSIF p_outcome = 2 THEN
      v_state := 6;
      v_reason := p_reason;
    ELSIF p_outcome = 1 AND k.attempt >= k.max_attempts THEN
      v_state := 6;
      v_reason := 1;
    ELSIF v_reason = 5 THEN
      v_state := 6;
      v_text := 'its record in the database is missing or cannot be read';
    ELSE
      IF p_outcome <> 1 THEN
        p.attempt := p.attempt - 1;
        p.snoozes := p.snoozes + 1;
      END IF;
      IF p_outcome <> 4 THEN p.run_at := @.moment(p_at, p_after, c.now); END IF;
      p.changed := true;
      PERFORM @.save(p);
      IF p.snoozes > @max_snoozes AND p_outcome <> 1 THEN
        p.attempt := k.attempt;
        v_state := 6;
        v_reason := 6;
        v_text := 'snoozed or handed back more than @max_snoozes times';
      ELSE
        IF p_outcome = 4 THEN c.now := greatest(c.now, p.run_at); END IF;  -- ready at once
        v_state := @.let_wait(c, p, 4);
        RETURN NEXT @.waits(v_state, p.run_at);
        IF c.events THEN
          RETURN NEXT @.event(CASE p_outcome WHEN 1 THEN 6 WHEN 3 THEN 7 ELSE 8 END, p_id, k.lane, p.attempt, p.epoch,
            c.now, p.run_at, 0, CASE WHEN p_outcome = 3 THEN p_message END);
        END IF;
        RETURN NEXT @.result(p_n, v_state, NULL);
        RETURN;
      END IF;
    END IF;
  END IF;
  PERFORM @.put_end(c, p, v_state, v_reason, v_text, p_result);
  IF c.events THEN
    RETURN NEXT @.event(CASE v_state WHEN 5 THEN 4 WHEN 6 THEN 13 ELSE 12 END, p_id, k.lane, k.attempt, k.epoch, c.now, NULL,
      v_reason, v_text);
  END IF;
  RETURN QUERY SELECT * FROM @.settle(c, ARRAY[p_id], ARRAY[v_state::smallint]);
  RETURN NEXT @.result(p_n, v_state, NULL);
END $$;

-- Results for all, but a single tag 10 where all were completed. p_jobs, p_records: what completions add, as an object of
-- arrays by the number of the finish; null: nothing.
CREATE FUNCTION @.finish(c @.ctx, p_ids bigint[], p_epochs bigint[], p_nodes bigint[], p_claims bigint[],
  p_outcomes smallint[], p_results text[], p_messages text[], p_faults smallint[], p_reasons smallint[], p_ats bigint[],
  p_afters bigint[], p_jobs jsonb, p_records jsonb) RETURNS SETOF @.out LANGUAGE plpgsql @set AS $$
DECLARE
  v_claims bigint[];
  v_done bigint[] := '{}';
  v_numbers bigint[] := '{}';
  v_keyed boolean := false;
  v_woke boolean := false;
  v_stood bigint[] := '{}';
  v_stand bigint[] := '{}';
  v_jobs jsonb;
  v_state smallint;
  v_row record;
  o @.out;
BEGIN
  c := @.begin(c);
  -- One run that was completed, all of its claim: small statements, as for one that is claimed alone.
  IF cardinality(p_ids) = 1 AND p_outcomes[1] = 0 AND p_jobs IS NULL AND p_records IS NULL THEN
    DELETE FROM @.claim y WHERE y.id = p_claims[1] AND y.node = p_nodes[1] AND y.epoch = p_epochs[1]
      AND y.ids = ARRAY[p_ids[1]] AND (SELECT n.state FROM @.node n WHERE n.id = p_nodes[1]) = 1
      RETURNING y.lane, y.attempt, y.epoch, y.at, y.keyed INTO v_row;
    IF FOUND THEN
      INSERT INTO @.outcome(id, lane, state, reason, attempt, epoch, started_at, finished_at, result)
        VALUES (p_ids[1], v_row.lane, 5, 0, v_row.attempt, v_row.epoch, v_row.at, c.now, p_results[1]);
      INSERT INTO @.change(origin, lane, old, new, n) VALUES (c.origin, v_row.lane, 4, 5, 1);
      v_done := p_ids;
      v_numbers := '{0}';
      v_keyed := v_row.keyed;
    END IF;
  END IF;
  IF cardinality(v_done) = 0 THEN
    v_claims := ARRAY(SELECT DISTINCT x FROM unnest(p_claims) x ORDER BY 1);
    -- In this form, as a look-up for each of them, since a planner that believes the table to be nearly empty walks over all
    -- of an index, with whatever is dead in it.
    PERFORM FROM unnest(v_claims) x(id)
      CROSS JOIN LATERAL (SELECT FROM @.claim y WHERE y.id = x.id ORDER BY y.part FOR UPDATE) y;
  END IF;
  IF p_jobs IS NULL AND p_records IS NULL THEN
    IF cardinality(v_done) = 0 THEN
      WITH k AS MATERIALIZED (
        SELECT y.tid, cardinality(y.ids) AS size, y.id AS claim, y.node, y.at, y.lane, y.attempt, y.epoch, y.keyed, r.id
        FROM unnest(v_claims) x(id)
        CROSS JOIN LATERAL (SELECT z.*, z.ctid AS tid FROM @.claim z WHERE z.id = x.id OFFSET 0) y
        CROSS JOIN LATERAL unnest(y.ids) r(id) WHERE (SELECT n.state FROM @.node n WHERE n.id = y.node) = 1),
      f AS MATERIALIZED (
        SELECT * FROM unnest(p_ids, p_epochs, p_nodes, p_claims, p_outcomes, p_results) WITH ORDINALITY
          u(id, epoch, node, claim, outcome, result, n)),
      held AS (
        SELECT DISTINCT ON (f.id) f.id, f.outcome, f.result, f.n - 1 AS n, k.tid, k.size, k.at, k.lane, k.attempt, k.epoch,
          k.keyed
        FROM f JOIN k ON k.id = f.id AND k.claim = f.claim AND k.node = f.node AND k.epoch = f.epoch ORDER BY f.id, f.n),
      done AS MATERIALIZED (SELECT * FROM held WHERE outcome = 0),
      o AS (
        INSERT INTO @.outcome(id, lane, state, reason, attempt, epoch, started_at, finished_at, result)
        SELECT id, lane, 5, 0, attempt, epoch, at, c.now, result FROM done),
      z AS MATERIALIZED (SELECT tid, array_agg(id) AS ids, count(*) = min(size) AS whole FROM done GROUP BY tid),
      d AS (DELETE FROM @.claim y WHERE y.ctid = ANY(ARRAY(SELECT tid FROM z WHERE whole))),
      u AS (
        UPDATE @.claim y SET ids = (SELECT array_agg(i.id ORDER BY i.id) FROM z CROSS JOIN LATERAL unnest(y.ids) i(id)
            WHERE z.tid = y.ctid AND i.id <> ALL(z.ids))
          WHERE y.ctid = ANY(ARRAY(SELECT tid FROM z WHERE NOT whole))),
      q AS (INSERT INTO @.change(origin, lane, old, new, n) SELECT c.origin, lane, 4, 5, count(*) FROM done GROUP BY lane)
      SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(n), '{}'), bool_or(keyed) INTO v_done, v_numbers, v_keyed
        FROM done;
    END IF;
    IF v_keyed THEN
      DELETE FROM @.key y USING @.job j WHERE j.id = ANY(v_done) AND j.unique_key IS NOT NULL
        AND coalesce(j.unique_states, 0) & 1 = 0 AND y.key = @.key_of(j.unique_key) AND y.id = j.id;
    END IF;
    IF EXISTS (SELECT FROM @.cancel) THEN DELETE FROM @.cancel WHERE id = ANY(v_done); END IF;
    IF c.events THEN
      RETURN QUERY SELECT e.* FROM unnest(v_done, v_numbers) u(id, n) JOIN @.outcome y ON y.id = u.id
        CROSS JOIN LATERAL @.event(4, y.id, y.lane, y.attempt, y.epoch, c.now, NULL, 0, NULL) e ORDER BY u.n;
    END IF;
    IF EXISTS (SELECT FROM @.dep WHERE parent = ANY(v_done)) THEN
      FOR o IN SELECT * FROM @.settle(c, v_done, array_fill(5::smallint, ARRAY[cardinality(v_done)])) LOOP
        v_woke := v_woke OR o.tag = 2;
        RETURN NEXT o;
      END LOOP;
    END IF;
    IF cardinality(v_done) = cardinality(p_ids) THEN
      RETURN NEXT ROW(10, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::@.out;
      IF v_woke THEN PERFORM @.wake(c.origin); END IF;
      RETURN;
    END IF;
    RETURN QUERY SELECT (@.result(n, 5, NULL)).* FROM unnest(v_numbers) n;
  END IF;

  FOR i IN 1..cardinality(p_ids) LOOP
    CONTINUE WHEN i - 1 = ANY(v_numbers);
    v_state := 0;
    FOR o IN SELECT * FROM @.finish_one(c, i - 1, p_ids[i], p_epochs[i], p_nodes[i], p_claims[i], p_outcomes[i],
        p_results[i], p_messages[i], p_faults[i], p_reasons[i], p_ats[i], p_afters[i]) LOOP
      IF o.tag = 0 THEN v_state := o.state; END IF;
      v_woke := v_woke OR o.tag = 2;
      RETURN NEXT o;
    END LOOP;
    IF v_state = 5 AND p_jobs IS NOT NULL THEN
      v_jobs := p_jobs -> (i - 1)::text;
      IF v_jobs IS NOT NULL THEN
        FOR o IN SELECT * FROM @.add_jobs(c, v_jobs, 0, v_stood, v_stand) LOOP
          v_woke := v_woke OR o.tag = 2;
          IF o.tag <> 0 THEN
            RETURN NEXT o;
          ELSIF o.state IN (2, 4) THEN
            v_stood := v_stood || (v_jobs -> o.n::integer ->> 'id')::bigint;
            v_stand := v_stand || o.other;
          END IF;
        END LOOP;
      END IF;
    END IF;
    IF v_state = 5 AND p_records IS NOT NULL THEN
      FOR v_jobs IN SELECT e FROM jsonb_array_elements(p_records -> (i - 1)::text) e LOOP
        PERFORM @.put_record(v_jobs ->> 'c', v_jobs ->> 'k', v_jobs ->> 'v');
      END LOOP;
    END IF;
  END LOOP;
  IF v_woke THEN PERFORM @.wake(c.origin); END IF;
END $$;

CREATE FUNCTION @.put_record(p_collection text, p_key text, p_value text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO @.record VALUES (p_collection, p_key, p_value) ON CONFLICT (collection, key) DO UPDATE SET value = excluded.value
$$;

-- A null value erases; then says whether there was one.
CREATE FUNCTION @.set_record(c @.ctx, p_collection text, p_key text, p_value text) RETURNS boolean LANGUAGE plpgsql @set AS $$
BEGIN
  PERFORM @.begin(c);
  IF p_value IS NULL THEN
    DELETE FROM @.record WHERE collection = p_collection AND key = p_key;
    RETURN FOUND;
  END IF;
  PERFORM @.put_record(p_collection, p_key, p_value);
  RETURN true;
END $$;

-- After a finish whose answer was lost: where each of these runs stands. 0: it is still held; else the state in which its
-- end left the job; -1: it was lost.
CREATE FUNCTION @.run_states(p_ids bigint[], p_epochs bigint[], p_nodes bigint[], p_claims bigint[]) RETURNS SETOF smallint
LANGUAGE plpgsql @set AS $$
DECLARE p @.place;
BEGIN
  -- Waits for the finish, where it is still under way.
  PERFORM FROM unnest(ARRAY(SELECT DISTINCT z FROM unnest(p_claims) z ORDER BY 1)) x(id)
    CROSS JOIN LATERAL (SELECT FROM @.claim y WHERE y.id = x.id ORDER BY y.part FOR UPDATE) y;
  FOR i IN 1..cardinality(p_ids) LOOP
    p := @.look(p_ids[i]);
    RETURN NEXT CASE WHEN p.state = 4 AND p.claim = p_claims[i] THEN 0
      WHEN p.epoch = p_epochs[i] AND p.state <> 4 AND NOT EXISTS (SELECT FROM @.error
        WHERE job = p_ids[i] AND epoch = p_epochs[i] AND fault = 3) THEN p.state ELSE -1 END;
  END LOOP;
END $$;

CREATE FUNCTION @.progress(c @.ctx, p_ids bigint[], p_epochs bigint[], p_nodes bigint[], p_claims bigint[],
  p_percents integer[], p_messages text[]) RETURNS SETOF @.out LANGUAGE plpgsql @set AS $$
DECLARE
  k @.claim;
  v_percent integer;
BEGIN
  c := @.begin(c);
  FOR i IN 1..cardinality(p_ids) LOOP
    -- Shared: it must not end meanwhile, others may report.
    SELECT y.* INTO k FROM @.claim y JOIN @.node n ON n.id = y.node AND n.state = 1
      WHERE y.id = p_claims[i] AND y.node = p_nodes[i] AND y.epoch = p_epochs[i] AND p_ids[i] = ANY(y.ids) FOR SHARE OF y;
    IF NOT FOUND THEN
      RETURN NEXT @.result(i - 1, 1, NULL);
      CONTINUE;
    END IF;
    INSERT INTO @.progress AS y VALUES (p_ids[i], p_epochs[i], p_percents[i], p_messages[i]) ON CONFLICT (id) DO UPDATE SET
      percent = CASE WHEN y.epoch = excluded.epoch THEN greatest(y.percent, excluded.percent) ELSE excluded.percent END,
      message = excluded.message, epoch = excluded.epoch RETURNING percent INTO v_percent;
    IF c.events THEN
      RETURN NEXT @.event(3, p_ids[i], k.lane, k.attempt, k.epoch, c.now, NULL, v_percent, p_messages[i]);
    END IF;
    RETURN NEXT @.result(i - 1, 0, NULL);
  END LOOP;
END $$;

CREATE FUNCTION @.save_step(c @.ctx, p_id bigint, p_epoch bigint, p_node bigint, p_claim bigint, p_name text, p_value text)
RETURNS boolean LANGUAGE plpgsql @set AS $$
BEGIN
  PERFORM @.begin(c);
  PERFORM FROM @.claim y JOIN @.node n ON n.id = y.node AND n.state = 1
    WHERE y.id = p_claim AND y.node = p_node AND y.epoch = p_epoch AND p_id = ANY(y.ids) FOR SHARE OF y;
  IF NOT FOUND THEN RETURN false; END IF;
  INSERT INTO @.step(job, name, value) VALUES (p_id, p_name, p_value) ON CONFLICT DO NOTHING;
  RETURN true;
END $$;
)sql";

}  // namespace quern::inline v1::postgres
