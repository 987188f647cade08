#!/usr/bin/env bash
# Copies Redis's queue, then the database, while everything runs; docs/backup.md says
# why in that order, and how to restore.
#
#   backup.sh DIR              a new directory; reads REDIS_URL, REDIS_DIR (where Redis
#                              has appendonlydir) and DATABASE_URL (postgres:// or sqlite:)
#   backup.sh --compose DIR    of docker-compose.yml, from its directory
set -euo pipefail

compose=
[ "${1:-}" != --compose ] || { compose=yes; shift; }
to=${1:?usage: backup.sh [--compose] DIR}
umask 077
mkdir "$to"

redis() {
  if [ "$compose" ]; then
    docker compose exec -T redis sh -c 'REDISCLI_AUTH=$(cat /run/secrets/redis_password) exec redis-cli "$@"' sh -e "$@" </dev/null
  elif [ "${REDIS_URL#unix://}" != "$REDIS_URL" ]; then
    redis-cli -s "${REDIS_URL#unix://}" -e "$@"
  else
    redis-cli -u "$REDIS_URL" --no-auth-warning -e "$@"
  fi
}

copy_log() {
  if [ "$compose" ]; then
    docker compose exec -T redis tar -C /data -cf - appendonlydir </dev/null
  else
    tar -C "$REDIS_DIR" -cf - appendonlydir
  fi
}

dump_database() {
  if [ "$compose" ]; then
    docker compose exec -T postgres pg_dump -Fc -U waybill waybill </dev/null >"$to/database.dump"
    return
  fi
  case $DATABASE_URL in
    sqlite:*) sqlite3 "${DATABASE_URL#sqlite:}" ".timeout 10000" "VACUUM INTO '$to/waybill.db'" ;;
    *) pg_dump -Fc -d "$DATABASE_URL" -f "$to/database.dump" ;;
  esac
}

# The log's files may not be exchanged while they are copied: no rewrite meanwhile.
percentage=$(redis CONFIG GET auto-aof-rewrite-percentage | tail -n 1)
trap 'redis CONFIG SET auto-aof-rewrite-percentage "$percentage" >/dev/null' EXIT
redis CONFIG SET auto-aof-rewrite-percentage 0 >/dev/null
until redis INFO persistence | tr -d '\r' | grep -x aof_rewrite_in_progress:0 >/dev/null; do sleep 0.2; done

# It grows while tar reads it, which tar calls a failure (1); what was there when
# tar came is in the copy.
copy_log >"$to/redis.tar" || [ $? -eq 1 ]
tar -tf "$to/redis.tar" | grep 'appendonlydir/.*\.manifest$' >/dev/null # not -q: it would cut tar off
dump_database
