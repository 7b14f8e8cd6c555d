#!/usr/bin/env bash
# bench_places.sh: called by bench.sh. What places cost: Google Drive at the end of a modelled line (bench/line: 5 MiB/s,
# 450 ms for each file that is made), and S3 (versitygw) and SFTP (OpenSSH) on loopback beside restic and rclone on the
# same servers. Prints its tables on standard output. BENCH_SCALE and BENCH_TMP as in bench.sh; build/coffer must be there.
. "$(dirname "$0")/lib.sh"
scripts/packages.sh bench places
use_go
versitygw

scale=${BENCH_SCALE:-1}
tmp=$(mktemp -d "${BENCH_TMP:-${TMPDIR:-/var/tmp}}/coffer-bench-places.XXXXXX")
coffer=$PWD/build/coffer
servers=()
finish() {
  for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$tmp"
}
trap finish EXIT

CGO_ENABLED=0 go build -o "$tmp/gen" ./bench/gen
CGO_ENABLED=0 go test -c -o "$tmp/line.test" ./bench/line
gateway=$(ls "$TOOLS"/versitygw-*/versitygw)
export HOME=$tmp/home TMPDIR=$tmp/tmp PATH=$PATH:/usr/sbin
mkdir -p "$HOME/.ssh" "$TMPDIR"
unset "${!RESTIC_@}" "${!RCLONE_@}" "${!COFFER_@}" "${!AWS_@}" DBUS_SESSION_BUS_ADDRESS SSH_AUTH_SOCK
export RESTIC_PASSWORD=bench

# seconds COMMAND...: runs it, and prints how long it took.
seconds() {
  sync
  /usr/bin/time -o "$tmp/time" -f %e "$@" >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; die "failed: $*"; }
  tail -n 1 "$tmp/time"
}

# listens PORT waits until somebody does.
listens() {
  for _ in $(seq 300); do
    (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
    sleep 0.1
  done
  die "nobody listens on port $1"
}
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# counted FIELD prints one of the numbers of the line.
counted() { sed 's/.*"'"$1"'":\([0-9]*\).*/\1/' "$tmp/counts"; }
counts() { curl -fsS "$(cat "$tmp/line/url")/line/counts" >"$tmp/counts"; }
reset() { curl -fsS "$(cat "$tmp/line/url")/line/reset"; }
calc() { awk "BEGIN { printf \"$1\", $2 }"; }
row() { printf '%-52s %10s\n' "$1" "$2"; }

setup() { "$coffer" -C "$1" setup --to "$2" --new-key --keep-key file "${@:3}" >/dev/null 2>"$tmp/log" || { cat "$tmp/log" >&2; die "coffer setup failed"; }; }

# drive: a backup, an unchanged one, a restore; then one that is killed ten times.
drive() {
  local stored took kills=0 pid
  mkdir "$tmp/line"
  COFFER_LINE=$tmp/line "$tmp/line.test" -test.run '^TestServe$' -test.timeout 0 >"$tmp/line.log" 2>&1 &
  servers+=($!)
  for _ in $(seq 300); do
    [ ! -e "$tmp/line/url" ] || break
    sleep 0.1
  done
  COFFER_DRIVE_ENDPOINT=$(cat "$tmp/line/url")/drive/v3/
  export COFFER_DRIVE_ENDPOINT
  local flags=(--drive-client "$tmp/line/client.json" --drive-token-file "$tmp/line/token")
  setup "$tmp/p1" drive:one "${flags[@]}" "$tmp/files"
  reset
  took=$(seconds "$coffer" -C "$tmp/p1" backup)
  counts
  stored=$(counted stored)
  row "backup, seconds for $((stored >> 20)) MiB" "$took"
  row "backup, share of the line (aim 0.85)" "$(calc %.2f "$stored / $took / 5 / 1048576")"
  row "API calls per GiB" "$(calc %.0f "$(counted calls) * 1073741824 / $stored")"
  row "quota units per GiB" "$(calc %.0f "$(counted units) * 1073741824 / $stored")"
  reset
  row "unchanged, seconds" "$(seconds "$coffer" -C "$tmp/p1" backup)"
  counts
  row "unchanged, list calls (aim below 5)" "$(counted lists)"
  row "unchanged, API calls" "$(counted calls)"
  row "unchanged, quota units" "$(counted units)"
  took=$(seconds "$coffer" -C "$tmp/p1" restore latest --target "$tmp/out")
  row "restore, seconds" "$took"
  row "restore, share of the line (aim 0.85)" "$(calc %.2f "$stored / $took / 5 / 1048576")"
  diff -rq "$tmp/files" "$tmp/out/$tmp/files" >&2 || die "coffer did not give back what it was given"
  rm -rf "$tmp/out"

  setup "$tmp/p2" drive:two "${flags[@]}" "$tmp/files"
  reset
  while [ $kills -lt 10 ]; do
    "$coffer" -C "$tmp/p2" backup >/dev/null 2>&1 &
    pid=$!
    sleep "$(calc %.2f "2 + $kills % 3 * 0.7")"
    kill -KILL $pid 2>/dev/null || break
    wait $pid 2>/dev/null || true
    kills=$((kills + 1))
  done
  "$coffer" -C "$tmp/p2" backup >/dev/null 2>"$tmp/log" || { cat "$tmp/log" >&2; die "the backup after $kills kills failed"; }
  counts
  row "after $kills kills, MiB that came in vain (aim below 8 each)" "$(calc %.1f "($(counted received) - $(counted stored)) / 1048576")"
}

# The servers, and how each tool is told of them.
start_s3() {
  local at
  at=$(port)
  mkdir -p "$tmp/s3/coffer" "$tmp/s3/restic" "$tmp/s3/rclone"
  export AWS_ACCESS_KEY_ID=bench AWS_SECRET_ACCESS_KEY=bench-secret
  ROOT_ACCESS_KEY=bench ROOT_SECRET_KEY=bench-secret "$gateway" --port "127.0.0.1:$at" --keep-alive --quiet posix "$tmp/s3" >"$tmp/s3.log" 2>&1 &
  servers+=($!)
  listens "$at"
  s3=http://127.0.0.1:$at
  export RCLONE_CONFIG_S3_TYPE=s3 RCLONE_CONFIG_S3_PROVIDER=Other RCLONE_CONFIG_S3_ENV_AUTH=true RCLONE_CONFIG_S3_ENDPOINT=$s3 RCLONE_CONFIG_S3_REGION=us-east-1
}
start_sftp() {
  local at user
  at=$(port) user=$(id -un)
  mkdir -p "$tmp/sftp"
  [ "$(id -u)" != 0 ] || mkdir -p /run/sshd
  ssh-keygen -q -t ed25519 -N '' -f "$tmp/host" && ssh-keygen -q -t ed25519 -N '' -f "$tmp/client"
  cp "$tmp/client.pub" "$tmp/authorized"
  printf '%s\n' "ListenAddress 127.0.0.1" "Port $at" "UsePAM no" "StrictModes no" "PermitRootLogin yes" "PasswordAuthentication no" \
    "PidFile none" "HostKey $tmp/host" "AuthorizedKeysFile $tmp/authorized" "Subsystem sftp internal-sftp" >"$tmp/sshd_config"
  "$(command -v sshd)" -D -f "$tmp/sshd_config" -E "$tmp/sshd.log" &
  servers+=($!)
  listens "$at"
  host_key=$(ssh-keygen -l -E sha256 -f "$tmp/host.pub" | cut -d ' ' -f 2)
  sftp=$user@127.0.0.1:$at
  restic_ssh="ssh -p $at -i $tmp/client -o StrictHostKeyChecking=no -o UserKnownHostsFile=$tmp/known $user@127.0.0.1 -s sftp"
  export RCLONE_CONFIG_SFTP_TYPE=sftp RCLONE_CONFIG_SFTP_HOST=127.0.0.1 RCLONE_CONFIG_SFTP_PORT=$at RCLONE_CONFIG_SFTP_USER=$user \
    RCLONE_CONFIG_SFTP_KEY_FILE=$tmp/client RCLONE_CONFIG_SFTP_SHELL_TYPE=none
}

# rclone copies files as they are: it seals nothing and keeps no versions. It is here as the speed of a plain copy.
coffer_s3() { setup "$tmp/ps3" "s3:$s3/coffer" "$tmp/files"; up=("$coffer" -C "$tmp/ps3" backup) down=("$coffer" -C "$tmp/ps3" restore latest --target "$tmp/out"); }
coffer_sftp() { setup "$tmp/psftp" "sftp://$sftp$tmp/sftp/coffer" --ssh-key "$tmp/client" --host-key "$host_key" "$tmp/files"; up=("$coffer" -C "$tmp/psftp" backup) down=("$coffer" -C "$tmp/psftp" restore latest --target "$tmp/out"); }
restic_s3() { restic_at "s3:$s3/restic"; }
restic_sftp() { restic_at "sftp:$sftp:$tmp/sftp/restic" -o sftp.command="$restic_ssh"; }
restic_at() {
  local to=(restic -q -r "$@")
  "${to[@]}" init >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; die "restic init failed"; }
  up=("${to[@]}" backup "$tmp/files") down=("${to[@]}" restore latest --target "$tmp/out")
}
rclone_s3() { up=(rclone -q copy "$tmp/files" s3:rclone/files) down=(rclone -q copy s3:rclone/files "$tmp/out$tmp/files"); }
rclone_sftp() { up=(rclone -q copy "$tmp/files" "sftp:$tmp/sftp/rclone") down=(rclone -q copy "sftp:$tmp/sftp/rclone" "$tmp/out$tmp/files"); }

loopback() {
  local kind tool up down
  printf '%-28s %9s  %9s  %9s  %8s %8s\n' "" coffer restic rclone restic/c rclone/c
  for kind in s3 sftp; do
    for tool in coffer restic rclone; do
      "${tool}_$kind"
      printf '%s %s %s\n' $kind up-$tool "$(seconds "${up[@]}")" >>"$tmp/rows"
      rm -rf "$tmp/out" && mkdir -p "$tmp/out"
      printf '%s %s %s\n' $kind down-$tool "$(seconds "${down[@]}")" >>"$tmp/rows"
      diff -rq "$tmp/files" "$tmp/out/$tmp/files" >&2 || die "$tool did not give back what it was given over $kind"
    done
  done
  awk '
    { v[$1 " " $2] = $3 }
    END {
      for (k = split("s3 sftp", kinds, " "); k > 0; k--) for (d = split("up down", ways, " "); d > 0; d--) {
        p = kinds[3 - k] " " ways[3 - d] "-"
        c = v[p "coffer"]; r = v[p "restic"]; o = v[p "rclone"]
        printf "%-28s %9.2f  %9.2f  %9.2f  %8.2f %8.2f\n", kinds[3 - k] (ways[3 - d] == "up" ? " first, seconds" : " restore, seconds"), c, r, o, r / c, o / c
      }
    }' "$tmp/rows"
}

say "making the files"
"$tmp/gen" -mix large -scale "$(calc %.3f "0.25 * $scale")" -to "$tmp/files" >&2
printf '\nGoogle Drive (a stand-in) at the end of a line of 5 MiB/s, 450 ms for each file that is made\n'
drive
rm -rf "$tmp/files" "$tmp/p1" "$tmp/p2"
"$tmp/gen" -mix large -scale "$(calc %.3f "0.5 * $scale")" -to "$tmp/files" >&2
find "$tmp/files" -type f -print0 | xargs -0 cat >/dev/null
printf '\nS3 (versitygw) and SFTP (OpenSSH) on loopback, %s MiB; %s; %s\n' "$(du -sm "$tmp/files" | cut -f1)" "$(restic version | cut -d ' ' -f 1-2)" "$(rclone version 2>/dev/null | head -n 1)"
start_s3
start_sftp
loopback
