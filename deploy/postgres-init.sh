#!/bin/sh
# Prepares an empty PostgreSQL for Tallystick: roles, their passwords, the owner of the database.
# Needs a superuser's connection (POSTGRES_USER, POSTGRES_DB, and PGHOST and PGPORT when it is not local) and
# TALLYSTICK_OWNER_PASSWORD and TALLYSTICK_APP_PASSWORD. To run it again is harmless.
set -eu

roles=${TALLYSTICK_ROLES_SQL:-/tallystick/roles.sql}

# Passwords go through the environment of psql, not its arguments, which every user of the machine can read.
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" \
    --dbname="$POSTGRES_DB" --file="$roles" --file=- <<'SQL'
\getenv owner_password TALLYSTICK_OWNER_PASSWORD
\getenv app_password TALLYSTICK_APP_PASSWORD
\getenv database POSTGRES_DB
ALTER ROLE tallystick_owner PASSWORD :'owner_password';
ALTER ROLE tallystick_app PASSWORD :'app_password';
ALTER DATABASE :"database" OWNER TO tallystick_owner;
SQL
