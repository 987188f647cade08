#!/usr/bin/env bash
# Makes the secrets of docker-compose.yml in deploy/secrets, each once: those
# that are there stay. Keep a copy elsewhere: without waybill_secret the secrets of
# subscriptions are lost.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
mkdir -p secrets

random() { head -c 64 /dev/urandom | LC_ALL=C base64 | LC_ALL=C tr -dc 'A-Za-z0-9' | head -c 40; }

# keep NAME TEXT. Containers run as users of their own and see nothing but their
# own files: those are readable, and the directory is not.
keep() {
  [ -e "secrets/$1" ] && return
  printf '%s\n' "$2" >"secrets/$1.new"
  chmod 444 "secrets/$1.new"
  mv "secrets/$1.new" "secrets/$1"
  echo "made deploy/secrets/$1"
}

keep waybill_secret "$(random)"
keep waybill_admin_key "wb_admin_$(random)"
keep grafana_password "$(random)"
keep postgres_password "$(random)"
keep database_url "postgres://waybill:$(cat secrets/postgres_password)@postgres:5432/waybill?sslmode=disable"
keep redis_password "$(random)"
keep redis_url "redis://default:$(cat secrets/redis_password)@redis:6379/0"
# Whoever asks whether Redis is alive needs no password for it.
keep redis_users "user default on sanitize-payload ~* &* +@all >$(cat secrets/redis_password)
user health on nopass sanitize-payload resetchannels -@all +ping"
