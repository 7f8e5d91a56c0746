#pragma once

namespace quern::inline v1::postgres {

// Adding jobs in a transaction of the host's, which may go on for long: so nothing is locked that others need.
// And the same for other languages and triggers.

inline constexpr const char* schema_within = R"sql(
-- As insert_any, in the host's transaction. What differs: of a queue with a limit, two hosts may take the same room; the
-- nodes that wait are not marked as woken, which would lock them, and are notified whether they wait or not, since by the
-- commit they may. p_store: the one whose jobs the caller means.
CREATE FUNCTION @.insert_within(c @.ctx, p_store bigint, p_jobs jsonb) RETURNS SETOF @.out LANGUAGE plpgsql @set AS $$
BEGIN
  IF p_store <> (SELECT value FROM @.meta WHERE name = 'store') THEN
    RAISE EXCEPTION USING ERRCODE = 'QU001', MESSAGE = 'host|is connected to another database than the storage';
  END IF;
  c := @.begin(c);
  IF NOT @.has_room(c, p_jobs) THEN
    RETURN QUERY SELECT (@.result(i, 5, NULL)).* FROM generate_series(0, jsonb_array_length(p_jobs) - 1) i;
    RETURN;
  END IF;
  RETURN QUERY SELECT * FROM @.add_jobs(c, p_jobs, 0, '{}', '{}');
  PERFORM pg_notify('@channel', c.origin::text);
END $$;

CREATE FUNCTION @.check_text(p_field text, p_text text, p_least integer, p_most integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF octet_length(p_text) NOT BETWEEN p_least AND p_most OR p_text ~ '[[:cntrl:]]' THEN
    RAISE EXCEPTION USING ERRCODE = 'QU001', MESSAGE = format('%s|allowed are %s to %s bytes, no control characters', p_field,
      p_least, p_most);
  END IF;
END $$;

CREATE FUNCTION @.us(p_time timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_time WHEN 'infinity' THEN 9223372036854775807 WHEN '-infinity' THEN 0
    ELSE (extract(epoch FROM p_time) * 1000000)::bigint END
$$;
CREATE FUNCTION @.us(p_time interval) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT (extract(epoch FROM p_time) * 1000000)::bigint
$$;

-- Adds one job in the transaction of the caller, and answers its id; or that of the job that holds its unique key. As the
-- owner, so that who may call this needs no right on any table.
CREATE FUNCTION @.enqueue(
  kind text, payload jsonb DEFAULT 'null', queue text DEFAULT 'default', priority integer DEFAULT 2,
  run_at timestamptz DEFAULT NULL, delay interval DEFAULT NULL, deadline timestamptz DEFAULT NULL,
  max_attempts integer DEFAULT 0, timeout interval DEFAULT NULL, unique_key text DEFAULT NULL,
  unique_period interval DEFAULT NULL, on_conflict text DEFAULT 'skip', tenant text DEFAULT NULL, tags text[] DEFAULT NULL,
  parents bigint[] DEFAULT NULL, on_parent_failure text DEFAULT 'cancel', created_by text DEFAULT NULL,
  trace text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  v_id bigint;
  v_size bigint;
  v_status integer;
  v_holder bigint;
  v_conflict integer := array_position(ARRAY['skip', 'replace', 'reschedule'], on_conflict) - 1;
  v_policy integer := array_position(ARRAY['cancel', 'run', 'stay_blocked'], on_parent_failure) - 1;
BEGIN
  PERFORM @.check_text('kind', coalesce(kind, ''), 1, 128), @.check_text('queue', coalesce(queue, ''), 1, 128),
    @.check_text('tenant', tenant, 0, 256), @.check_text('created_by', created_by, 0, 256),
    @.check_text('unique_key', unique_key, 0, 4096);
  PERFORM @.check_text('tags', coalesce(t, ''), 1, 256) FROM unnest(tags) t;
  -- As TraceContext has it.
  IF trace <> '' AND (octet_length(trace) > 568 OR trace !~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}( [!-~]([ -~]*[!-~])?)?$'
      OR trace ~ '^00-(0{32}-|[0-9a-f]{32}-0{16}-)') THEN
    RAISE EXCEPTION USING ERRCODE = 'QU001', MESSAGE = 'trace|is no W3C traceparent of version 00, with a tracestate after a '
      'space where there is one';
  END IF;
  IF octet_length(payload::text) > 1048576 THEN
    RAISE EXCEPTION USING ERRCODE = 'QU001', MESSAGE = 'payload|is longer than 1 MiB';
  ELSIF cardinality(tags) > 32 OR cardinality(parents) > 1000 THEN
    RAISE EXCEPTION USING ERRCODE = 'QU001', MESSAGE = 'tags|allowed are 32 tags and 1000 parents';
  ELSIF coalesce(priority NOT BETWEEN 0 AND 9, true) THEN
    RAISE EXCEPTION USING ERRCODE = 'QU001', MESSAGE = 'priority|allowed are 0 to 9';
  ELSIF coalesce(max_attempts NOT BETWEEN 0 AND 1000000, true) THEN
    RAISE EXCEPTION USING ERRCODE = 'QU001', MESSAGE = 'max_attempts|allowed are 0 to 1000000';
  ELSIF timeout < interval '0' OR timeout > interval '8760 hours' OR delay < interval '0' OR unique_period < interval '0' THEN
    RAISE EXCEPTION USING ERRCODE = 'QU001', MESSAGE = 'timeout|a delay, timeout or period must not be negative, a timeout '
      'not longer than 365 days';
  ELSIF v_conflict IS NULL OR v_policy IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'QU001', MESSAGE = 'on_conflict|allowed are skip, replace and reschedule, and for '
      'on_parent_failure cancel, run and stay_blocked';
  END IF;
  v_id := @.take_ids(1);
  SELECT value INTO v_size FROM @.meta WHERE name = 'partition';
  -- A transaction that has used a table does not notice new partitions of it, until it takes some lock.
  IF current_setting('@name.partition', true) IS DISTINCT FROM (v_id / v_size)::text THEN
    BEGIN
      LOCK TABLE @.node IN ROW SHARE MODE;
      RAISE EXCEPTION USING ERRCODE = 'QU000';  -- gives the lock back, so that it can be taken again
    EXCEPTION WHEN SQLSTATE 'QU000' THEN
      PERFORM set_config('@name.partition', (v_id / v_size)::text, true);
    END;
  END IF;
  -- Mostly there: they are made ahead.
  IF to_regclass(format('%I.%I', '@name', 'job_' || v_id / v_size)) IS NULL THEN PERFORM @.make_partitions(v_id, v_id); END IF;
  SELECT o.state, o.other INTO v_status, v_holder FROM @.insert_within(ROW(NULL, 0, false)::@.ctx,
    (SELECT value FROM @.meta WHERE name = 'store'), jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('id', v_id,
      'lane', @.lane_of(queue, kind), 'priority', priority, 'max_attempts', max_attempts,
      'payload', coalesce(payload, 'null')::text, 'at', @.us(run_at), 'after', CASE WHEN run_at IS NULL THEN @.us(delay) END,
      'deadline_at', @.us(deadline), 'timeout', nullif(@.us(timeout), 0), 'tenant', nullif(tenant, ''),
      'tags', CASE WHEN cardinality(tags) > 0 THEN tags END, 'created_by', nullif(created_by, ''), 'trace', nullif(trace, ''),
      'parents', CASE WHEN cardinality(parents) > 0 THEN parents END, 'policy', nullif(v_policy, 0))
      || CASE WHEN unique_key <> '' THEN jsonb_build_object('key', unique_key, 'period', coalesce(@.us(unique_period), 0),
        'states', 0, 'conflict', v_conflict) ELSE '{}' END))) o WHERE o.tag = 0;
  IF v_status = 5 THEN
    RAISE EXCEPTION USING ERRCODE = 'QU005', MESSAGE = format('the queue "%s" is full', queue);
  END IF;
  RETURN CASE WHEN v_status IN (2, 4) THEN v_holder ELSE v_id END;
END $$;
)sql";

}  // namespace quern::inline v1::postgres
