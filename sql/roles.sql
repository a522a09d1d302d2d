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
    written    CONSTANT text[] := ARRAY['price_history', 'price_history_5min', 'price_history_1hour',
        'price_history_1day', 'checkpoint', 'usd_rub_rate', 'gap', 'candle_stale'];
    everything CONSTANT text[] := written || 'schema_migration'::text;
    parents    CONSTANT text[] := ARRAY['price_history', 'price_history_5min', 'price_history_1hour'];
    upkeep     CONSTANT text[] := ARRAY['ensure_price_history_partitions(date, integer)',
        'drop_price_history_partitions(date)', 'ensure_candle_partitions(date, date)',
        'drop_candle_partitions(text, date)'];
    ours       CONSTANT text[] := ARRAY['ensure_price_history_partitions', 'drop_price_history_partitions',
        'ensure_candle_partitions', 'drop_candle_partitions', 'candle_width', 'candle_bucket', 'note_stale_candles',
        'candle_rolled', 'roll_up', 'roll_up_stale'];
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
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', array_to_string(upkeep, ', '), role);
        IF NOT has_database_privilege(role, current_database(), 'TEMPORARY') THEN
            EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), role);
        END IF;
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
            AND c.relkind IN ('r', 'p') AND (c.relname = ANY (everything) OR inhparent = ANY (parents::regclass[]))
        UNION ALL
        SELECT format('TYPE %s', t.oid::regtype) FROM pg_type AS t
        WHERE t.typnamespace = 'public'::regnamespace AND pg_get_userbyid(t.typowner) = current_user
            AND t.typname IN ('pair_symbol', 'aggregation_method')
        UNION ALL
        SELECT format('FUNCTION %s', f.oid::regprocedure) FROM pg_proc AS f
        WHERE f.pronamespace = 'public'::regnamespace AND pg_get_userbyid(f.proowner) = current_user
            AND f.proname = ANY (ours)
    LOOP
        EXECUTE format('ALTER %s OWNER TO priceverse_migrate', object);
    END LOOP;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE WARNING 'roles are left as they were: %', SQLERRM;
END
$$;
