#pragma once

namespace quern::inline v1::postgres {

// Looking. Each answer shows one snapshot.

inline constexpr const char* schema_read = R"sql(
-- Everything about these jobs, in the order of their ids. errors: as JSON.
CREATE FUNCTION @.full_jobs(p_ids bigint[]) RETURNS TABLE (
  id bigint, lane integer, priority smallint, state smallint, max_attempts integer, run_at bigint, created_at bigint,
  deadline bigint, timeout bigint, policy smallint, run integer, attempt integer, epoch bigint, crashes integer,
  snoozes integer, started_at bigint, finished_at bigint, node bigint, reason smallint, message text, payload text, tenant text,
  tags text, unique_key text, parents text, created_by text, digest text, trace text, result text, percent integer, progress text,
  asked boolean, errors text) LANGUAGE sql STABLE ROWS 10 AS $$
  SELECT j.id, j.lane, p.priority, p.state, j.max_attempts, p.run_at, j.created_at, p.deadline, j.timeout, j.policy, p.run,
    p.attempt, p.epoch, p.crashes, p.snoozes, p.started_at, o.finished_at, p.node, o.reason, o.message, j.payload, j.tenant,
    array_to_string(j.tags, E'\x1f'), j.unique_key, array_to_string(j.parents, ','), j.created_by, j.digest, j.trace, o.result,
    g.percent, g.message, p.state = 4 AND EXISTS (SELECT FROM @.cancel x WHERE x.id = j.id),
    CASE WHEN p.changed OR o.state > 5 THEN (
      SELECT json_agg(json_build_array(e.attempt, e.epoch, e.at, e.fault, e.message) ORDER BY e.epoch)::text
      FROM @.error e WHERE e.job = j.id) END
  FROM unnest(p_ids) u(id) JOIN @.job j ON j.id = u.id CROSS JOIN LATERAL @.look(u.id) p
    LEFT JOIN @.outcome o ON o.id = u.id LEFT JOIN @.progress g ON g.id = u.id
  ORDER BY j.id
$$;

-- The ids that a filter gives, beyond p_after, in order; what is null does not restrict. Each state is looked for where
-- its jobs stand. Dynamic, so that each question has a plan of its own.
CREATE FUNCTION @.list_ids(p_states smallint[], p_queue text, p_kind text, p_tenant text, p_tag text, p_from bigint,
  p_before bigint, p_after bigint, p_up boolean, p_limit bigint) RETURNS SETOF bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_lanes integer[];
  v_where text := ' WHERE true';
  v_end text := format(' ORDER BY x.id %s LIMIT $6', CASE WHEN p_up THEN 'ASC' ELSE 'DESC' END);
  v_source text;
  v_parts text[] := '{}';
  v_state smallint;
BEGIN
  IF p_queue IS NOT NULL OR p_kind IS NOT NULL THEN
    v_lanes := ARRAY(SELECT l.id FROM @.lane l WHERE (p_queue IS NULL OR l.queue = p_queue)
      AND (p_kind IS NULL OR l.kind = p_kind));
    IF cardinality(v_lanes) = 0 THEN RETURN; END IF;
    v_where := v_where || ' AND j.lane = ANY($1)';
  END IF;
  IF p_tenant IS NOT NULL THEN v_where := v_where || ' AND j.tenant = $2'; END IF;
  IF p_from IS NOT NULL THEN v_where := v_where || ' AND j.created_at >= $4'; END IF;
  IF p_before IS NOT NULL THEN v_where := v_where || ' AND j.created_at < $5'; END IF;
  IF p_after > 0 THEN v_where := v_where || format(' AND x.id %s $7', CASE WHEN p_up THEN '>' ELSE '<' END); END IF;
  IF p_states IS NULL THEN
    IF p_tag IS NOT NULL THEN
      v_parts := ARRAY['SELECT x.id FROM @.tag x JOIN @.job j ON j.id = x.id' || v_where || ' AND x.tag = $3'];
    ELSE
      v_parts := ARRAY['SELECT x.id FROM @.job x' || replace(v_where, ' j.', ' x.')];
    END IF;
    RETURN QUERY EXECUTE v_parts[1] || v_end USING v_lanes, p_tenant, p_tag, p_from, p_before, p_limit, p_after;
    RETURN;
  END IF;
  IF p_tag IS NOT NULL THEN
    v_where := v_where || ' AND EXISTS (SELECT FROM @.tag t WHERE t.tag = $3 AND t.id = x.id)';
  END IF;
  FOREACH v_state IN ARRAY p_states LOOP
    v_source := CASE v_state WHEN 1 THEN '@.blocked x' WHEN 2 THEN '@.sched x'
      WHEN 3 THEN '(SELECT unnest(ids) AS id FROM @.ready) x' WHEN 4 THEN '(SELECT unnest(ids) AS id FROM @.claim) x'
      ELSE '@.outcome x' END;
    -- Very many are found sooner one by one than sorted.
    IF v_state = 3 AND (SELECT sum(n) FROM @.counts() WHERE state = 3) > 100000 THEN
      v_source := '@.job x CROSS JOIN LATERAL (SELECT FROM @.look(x.id) p WHERE p.state = 3) y';
    END IF;
    v_parts := v_parts || format('(SELECT x.id FROM %s JOIN @.job j ON j.id = x.id %s %s %s)', v_source, v_where,
      CASE WHEN v_state > 4 THEN format('AND x.state = %s', v_state) END, v_end);
  END LOOP;
  RETURN QUERY EXECUTE 'SELECT x.id FROM (' || array_to_string(v_parts, ' UNION ALL ') || ') x' || v_end
    USING v_lanes, p_tenant, p_tag, p_from, p_before, p_limit, p_after;
END $$;

CREATE FUNCTION @.cancel_requests(p_node bigint) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
  SELECT x.id FROM @.cancel x WHERE EXISTS (SELECT FROM @.claim y WHERE y.last >= x.id AND y.first <= x.id
    AND x.id = ANY(y.ids) AND y.node = p_node) ORDER BY x.id
$$;

CREATE FUNCTION @.nodes(p_boot text, p_steady bigint) RETURNS TABLE (
  id bigint, state smallint, lease bigint, left_us bigint, started_at bigint, process bigint, name text, host text,
  capacity text, running bigint) LANGUAGE sql STABLE AS $$
  SELECT n.id, n.state, n.lease, CASE WHEN n.state = 1 AND n.boot = p_boot
      THEN greatest(0, n.expires - coalesce(p_steady, @.clock())) ELSE 0 END,
    n.started_at, n.process, n.name, n.host, n.capacity, coalesce(r.n, 0)
  FROM @.node n LEFT JOIN LATERAL (SELECT sum(cardinality(y.ids)) AS n FROM @.claim y WHERE y.node = n.id) r ON true
  WHERE n.state = 1 OR r.n > 0 ORDER BY n.id
$$;

CREATE FUNCTION @.queues() RETURNS TABLE (name text, paused boolean, max_waiting bigint) LANGUAGE sql STABLE AS $$
  SELECT n.name, coalesce(q.paused, false), coalesce(q.max_waiting, 0)
  FROM (SELECT DISTINCT queue AS name FROM @.lane UNION SELECT name FROM @.queue) n LEFT JOIN @.queue q ON q.name = n.name
  ORDER BY n.name COLLATE "C"
$$;

CREATE FUNCTION @.recount() RETURNS TABLE (queue text, kind text, state smallint, kept bigint, found bigint)
LANGUAGE sql STABLE AS $$
  WITH kept AS (SELECT * FROM @.counts()),
  found AS (
    SELECT lane, 3::smallint AS state, sum(cardinality(ids)) AS n FROM @.ready GROUP BY lane
    UNION ALL SELECT lane, 2::smallint, count(*) FROM @.sched GROUP BY lane
    UNION ALL SELECT lane, 1::smallint, count(*) FROM @.blocked GROUP BY lane
    UNION ALL SELECT lane, 4::smallint, sum(cardinality(ids)) FROM @.claim GROUP BY lane
    UNION ALL SELECT lane, state, count(*) FROM @.outcome GROUP BY lane, state)
  SELECT coalesce(l.queue, '(missing)'), coalesce(l.kind, '(missing)'), state, coalesce(k.n, 0), coalesce(f.n, 0)
  FROM kept k FULL JOIN found f USING (lane, state) LEFT JOIN @.lane l ON l.id = lane
  WHERE coalesce(k.n, 0) <> coalesce(f.n, 0)
$$;
)sql";

}  // namespace quern::inline v1::postgres
