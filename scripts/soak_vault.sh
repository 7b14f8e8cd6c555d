#!/usr/bin/env bash
# soak_vault.sh [MINUTES]: two vaults as they are built for users, each with clients that do everything a client can do,
# right and wrong, for 30 minutes. One is killed every 20 to 40 seconds and started again; of the other, memory is
# watched. Fails when anything happens that has no explanation, or when memory grows (bench/vault).
#
# SOAK_CLIENTS=16  of each vault (default 4)
. "$(dirname "$0")/lib.sh"
use_go

minutes=${1:-30}
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/coffer-soak.XXXXXX")
keepers=()
finish() {
  touch "$tmp/end"
  for name in a b; do
    [ ! -e "$tmp/$name.pid" ] || kill "$(cat "$tmp/$name.pid")" 2>/dev/null || true
  done
  for pid in "${keepers[@]}"; do wait "$pid" || true; done
  rm -rf "$tmp"
}
trap finish EXIT

CGO_ENABLED=0 go build -o "$tmp/coffer-vault" ./cmd/coffer-vault
CGO_ENABLED=0 go build -o "$tmp/vault" ./bench/vault

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# keep NAME serves a vault, and again when it has ended, as systemd does with Restart=always.
keep() {
  while [ ! -e "$tmp/end" ]; do
    "$tmp/coffer-vault" serve --data "$tmp/$1" 2>>"$tmp/$1.log" &
    echo $! >"$tmp/$1.pid.new" && mv "$tmp/$1.pid.new" "$tmp/$1.pid"
    wait $! || true
    sleep 0.1
  done 2>/dev/null # bash tells of each kill
}

# make NAME makes a vault without waits, and with limits that its few addresses do not meet.
make() {
  local limit
  "$tmp/coffer-vault" init --data "$tmp/$1" --address "127.0.0.1:$(port)" --waits none >"$tmp/$1.link" 2>"$tmp/$1.log" || { cat "$tmp/$1.log" >&2; die "init failed"; }
  for limit in burst per_minute record_burst record_per_minute connections_per_address; do
    sed -i "s/^$limit = 0\$/$limit = 1048576/" "$tmp/$1/vault.toml"
  done
  sed -i 's/^level = .*/level = "warn"/' "$tmp/$1/vault.toml"
  keep "$1" &
  keepers+=($!)
}

# serving NAME: it answers.
serving() {
  local address
  address=$(sed 's|.*://\([^#]*\)#.*|\1|' "$tmp/$1.link")
  for _ in $(seq 300); do
    curl -fsSk "https://$address/readyz" >/dev/null 2>&1 && return
    sleep 0.1
  done
  cat "$tmp/$1.log" >&2
  die "the vault does not serve"
}

make a
make b
serving a
serving b
status=0
"$tmp/vault" soak -link-a "$(cat "$tmp/a.link")" -pid-a "$tmp/a.pid" -link-b "$(cat "$tmp/b.link")" -pid-b "$tmp/b.pid" \
  -for "${minutes}m" -clients "${SOAK_CLIENTS:-4}" || status=$?
[ $status = 0 ] || { tail -n 20 "$tmp/a.log" "$tmp/b.log" >&2; die "the soak has failed"; }
