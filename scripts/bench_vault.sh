#!/usr/bin/env bash
# bench_vault.sh: called by bench.sh. What a vault does: openings a second for each store and sealer (bench/vault), one
# file with a million records, and what a record costs in etcd. It starts an etcd, an emulated TPM (swtpm) and a token
# (SoftHSM) of its own, and prints Markdown tables on standard output, in less than six minutes on a quiet computer.
#
# BENCH_RECORDS=100000  fewer records      BENCH_SECONDS_EACH=1s  shorter measurements      BENCH_TMP=/mnt  another disk
. "$(dirname "$0")/lib.sh"
PATH=$PATH:/usr/sbin
scripts/packages.sh vault
use_go

tmp=$(mktemp -d "${BENCH_TMP:-${TMPDIR:-/var/tmp}}/coffer-bench-vault.XXXXXX")
sockets=$(mktemp -d /tmp/cbv.XXXXXX) # the path of a socket has 108 bytes at most
servers=()
finish() {
  for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$tmp" "$sockets"
}
trap finish EXIT
mkdir -p "$tmp/files" "$tmp/tpm" "$tmp/tokens"

# Tokens need cgo. Without a compiler their lines are missing, and the tables say so.
cgo=0
command -v "$(go env CC)" >/dev/null && cgo=1
CGO_ENABLED=$cgo go build -o "$tmp/vault" ./bench/vault

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# wait_for COMMAND... until it succeeds.
wait_for() {
  for _ in $(seq 300); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  die "this never came true: $*"
}

# As an operator of a vault would run it: nobody reads former values.
start_etcd() {
  local peer
  etcd=http://127.0.0.1:$(port) peer=http://127.0.0.1:$(port)
  etcd --name bench --data-dir "$tmp/etcd" --listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "bench=$peer" \
    --auto-compaction-mode revision --auto-compaction-retention 1000 --quota-backend-bytes $((8 << 30)) \
    --log-level error >"$tmp/etcd.log" 2>&1 &
  etcd_pid=$!
  servers+=("$etcd_pid")
  wait_for curl -fsS "$etcd/health"
}

start_tpm() {
  swtpm socket --tpm2 --tpmstate "dir=$tmp/tpm" --server "type=unixio,path=$sockets/tpm" --ctrl "type=unixio,path=$sockets/ctrl" \
    --flags not-need-init,startup-clear --log "file=$tmp/tpm.log" &
  servers+=($!)
  wait_for test -S "$sockets/tpm"
}

make_token() {
  local module pin
  for module in /usr/lib/softhsm/libsofthsm2.so /usr/lib64/softhsm/libsofthsm2.so /usr/local/lib/softhsm/libsofthsm2.so; do
    [ ! -e "$module" ] || break
  done
  export SOFTHSM2_CONF=$tmp/softhsm2.conf
  printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$tmp/tokens" >"$SOFTHSM2_CONF"
  pin=bench-$RANDOM$RANDOM
  (umask 077 && printf '%s' "$pin" >"$tmp/pin")
  softhsm2-util --init-token --free --label bench --pin "$pin" --so-pin "$pin" >/dev/null
  token="pkcs11:token=bench?module-path=$module&pin-source=file:$tmp/pin"
}

start_etcd
start_tpm
make_token
printf '\n## Backup Key Vault\n\n%s, %s cores, %s\n' "$(uname -sm)" "$(nproc)" "$(etcd --version | head -n 1)"
step "openings a second" "$tmp/vault" speed -dir "$tmp/files" -seconds "${BENCH_SECONDS_EACH:-3s}" -etcd "$etcd" -tpm "swtpm:unix:$sockets/tpm" -token "$token"
step "records in etcd" "$tmp/vault" cluster -etcd "$etcd" -etcd-pid "$etcd_pid" -records $((${BENCH_RECORDS:-1000000} / 20))
step "many records" "$tmp/vault" many -dir "$tmp/files" -seconds "${BENCH_SECONDS_EACH:-3s}" -records "${BENCH_RECORDS:-1000000}"
