-- The two roles of a Tallystick database. `tallystick_owner` owns the tables and migrates; `tallystick_app` serves
-- and owns nothing, so that row level security binds it: migrations grant it what it needs, table by table.
-- Run it as a superuser; to run it again is harmless. Passwords are set apart from this file.
DO $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('tallystick roles'));
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tallystick_owner') THEN
        CREATE ROLE tallystick_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tallystick_app') THEN
        CREATE ROLE tallystick_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
END
$$;
