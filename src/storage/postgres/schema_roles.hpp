#pragma once

namespace quern::inline v1::postgres {

// Who may do what. Comes last: what it takes from everybody is all that stands before it.

inline constexpr const char* schema_roles = R"sql(
-- Gives a user of the database one of these roles; to be called by the owner, and again after a migration:
--   owner      everything, migrations too: all that is in the schema becomes his
--   worker     what a PostgresStorage with migrate = false does
--   producer   only to add jobs, by the function enqueue
--   read_only  only to look: a PostgresStorage with migrate = false on which nothing is changed
CREATE FUNCTION @.grant_role(p_role text, p_user text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_what text;
  v_schema oid := '@name'::regnamespace;
BEGIN
  IF p_role NOT IN ('owner', 'worker', 'producer', 'read_only') OR p_role IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'QU001', MESSAGE = 'role|allowed are owner, worker, producer and read_only';
  END IF;
  IF p_role = 'owner' THEN
    FOR v_what IN
        SELECT format('TABLE %s', t.oid::regclass) FROM pg_class t WHERE t.relnamespace = v_schema AND t.relkind IN ('r', 'p')
        UNION ALL
        -- Those of identity columns follow their tables.
        SELECT format('SEQUENCE %s', t.oid::regclass) FROM pg_class t WHERE t.relnamespace = v_schema AND t.relkind = 'S'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = t.oid
            AND d.deptype IN ('a', 'i'))
        UNION ALL
        SELECT format('TYPE %s', t.oid::regtype) FROM pg_type t JOIN pg_class x ON x.oid = t.typrelid
          WHERE t.typnamespace = v_schema AND x.relkind = 'c'
        UNION ALL
        SELECT format('FUNCTION %s', f.oid::regprocedure) FROM pg_proc f WHERE f.pronamespace = v_schema LOOP
      EXECUTE format('ALTER %s OWNER TO %I', v_what, p_user);
    END LOOP;
    EXECUTE format('ALTER SCHEMA %I OWNER TO %I', '@name', p_user);
    RETURN;
  END IF;
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', '@name', p_user);
  IF p_role = 'producer' THEN
    FOR v_what IN SELECT f.oid::regprocedure FROM pg_proc f WHERE f.pronamespace = v_schema AND f.proname = 'enqueue' LOOP
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', v_what, p_user);
    END LOOP;
  ELSIF p_role = 'worker' THEN
    -- Rights on partitions are not needed; those on the whole table count.
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I', '@name', p_user);
    EXECUTE format('GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA %I TO %I', '@name', p_user);
    EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA %I TO %I', '@name', p_user);
    EXECUTE format('REVOKE EXECUTE ON FUNCTION @.grant_role(text, text) FROM %I', p_user);
  ELSE
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', '@name', p_user);
    EXECUTE format('GRANT USAGE ON SEQUENCE @.origin TO %I', p_user);  -- it numbers who looks
    FOR v_what IN SELECT f.oid::regprocedure FROM pg_proc f WHERE f.pronamespace = v_schema
        AND (f.provolatile <> 'v' OR f.proname = 'clock') LOOP
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', v_what, p_user);
    END LOOP;
  END IF;
END $$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA @name FROM PUBLIC;
)sql";

}  // namespace quern::inline v1::postgres
