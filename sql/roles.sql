-- Who may do what. Run at the end of every `priceverse migrate`, so that it may be run again at any time.
--
--   priceverse_migrate   owns everything; the login that migrates is its member
--   priceverse_write     aggregators, rates, housekeeper
--   priceverse_read      API handlers
--
-- These are groups without a login: `GRANT priceverse_write TO some_login`. They belong to the whole server, so they
-- are made only where the migrating login may create roles; else a warning says so and it owns everything itself.

DO $$
DECLARE
    everything CONSTANT text[] := ARRAY['price_history', 'price_history_5min', 'price_history_1hour',
        'price_history_1day', 'checkpoint', 'usd_rub_rate', 'gap', 'schema_migration'];
    written    CONSTANT text[] := everything[1:7];
    role       text;
    object     text;
BEGIN
    FOREACH role IN ARRAY ARRAY['priceverse_migrate', 'priceverse_write', 'priceverse_read'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE WARNING 'role % is not there and % may not create it: go on without', role, current_user;
            WHEN duplicate_object OR unique_violation THEN
                NULL;  -- the migrator of another database of this server was quicker
        END;
    END LOOP;

    FOR role IN SELECT rolname FROM pg_roles WHERE rolname IN ('priceverse_read', 'priceverse_write') LOOP
        IF NOT has_schema_privilege(role, 'public', 'USAGE') THEN
            EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role);
        END IF;
        EXECUTE format('GRANT SELECT ON %s TO %I', array_to_string(everything, ', '), role);
        CONTINUE WHEN role = 'priceverse_read';
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO %I', array_to_string(written, ', '), role);
        EXECUTE format('GRANT EXECUTE ON FUNCTION ensure_price_history_partitions(date, integer) TO %I', role);
        EXECUTE format('GRANT EXECUTE ON FUNCTION drop_price_history_partitions(date) TO %I', role);
    END LOOP;

    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'priceverse_migrate') THEN
        RETURN;
    END IF;
    IF NOT has_schema_privilege('priceverse_migrate', 'public', 'CREATE') THEN
        GRANT USAGE, CREATE ON SCHEMA public TO priceverse_migrate;
    END IF;
    IF NOT pg_has_role(current_user, 'priceverse_migrate', 'USAGE') THEN
        EXECUTE format('GRANT priceverse_migrate TO %I', current_user);
    END IF;
    FOR object IN
        SELECT format('TABLE %s', c.oid::regclass) FROM pg_class AS c LEFT JOIN pg_inherits ON inhrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND pg_get_userbyid(c.relowner) = current_user
            AND c.relkind IN ('r', 'p') AND (c.relname = ANY (everything) OR inhparent = 'price_history'::regclass)
        UNION ALL
        SELECT format('TYPE %s', t.oid::regtype) FROM pg_type AS t
        WHERE t.typnamespace = 'public'::regnamespace AND pg_get_userbyid(t.typowner) = current_user
            AND t.typname IN ('pair_symbol', 'aggregation_method')
        UNION ALL
        SELECT format('FUNCTION %s', f.oid::regprocedure) FROM pg_proc AS f
        WHERE f.pronamespace = 'public'::regnamespace AND pg_get_userbyid(f.proowner) = current_user
            AND f.proname IN ('ensure_price_history_partitions', 'drop_price_history_partitions')
    LOOP
        EXECUTE format('ALTER %s OWNER TO priceverse_migrate', object);
    END LOOP;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE WARNING 'roles are left as they were: %', SQLERRM;
END
$$;
