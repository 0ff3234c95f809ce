#!/bin/sh
# Makes a cluster on the first start, with the user and databases of the test project, and serves it.
set -eu
data=${PGDATA:-/var/lib/data/pg}
if [ ! -f "$data/PG_VERSION" ]; then
  initdb --no-sync -D "$data" -U postgres --auth-local trust --auth-host scram-sha-256 -E UTF8 >/dev/null
  echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
  {
    echo "CREATE ROLE myapp LOGIN SUPERUSER PASSWORD '$POSTGRES_PASSWORD';"
    for name in myapp custom broken stranger; do echo "CREATE DATABASE $name OWNER myapp;"; done
  } >/tmp/init.sql
  while read -r line; do echo "$line" | postgres --single -D "$data" postgres >/dev/null; done </tmp/init.sql
fi
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp -c fsync=off
