#!/usr/bin/env bash
# bench.sh: a first backup, an unchanged one and a restore of two mixes of files (bench/gen), by build/coffer and by
# Debian's restic and borg, one after the other in each round of one run. Prints seconds (median of the rounds), peak
# memory and repository size, as figures and as ratios, and keeps them in build/bench.txt; then what places cost
# (bench_places.sh), and the packages' benchmarks.
#
# BENCH_SCALE=0.1  a tenth of the files      BENCH_ROUNDS=1         fewer rounds (default 3)
# BENCH_TMP=/mnt   another disk              BENCH_SECONDS=300      starts no round after so many (default 480)
. "$(dirname "$0")/lib.sh"
scripts/packages.sh bench
use_go
scripts/build.sh cli

scale=${BENCH_SCALE:-1} rounds=${BENCH_ROUNDS:-3} limit=${BENCH_SECONDS:-480}
tmp=$(mktemp -d "${BENCH_TMP:-${TMPDIR:-/var/tmp}}/coffer-bench.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
coffer=$PWD/build/coffer
GOCACHE=$(go env GOCACHE) GOMODCACHE=$(go env GOMODCACHE)
export GOCACHE GOMODCACHE HOME=$tmp/home TMPDIR=$tmp/tmp # the tools keep their caches in HOME; Go's stay where they are
mkdir -p "$HOME" "$TMPDIR"
unset "${!BORG_@}" "${!RESTIC_@}" "${!COFFER_@}" DBUS_SESSION_BUS_ADDRESS
export BORG_PASSPHRASE=bench RESTIC_PASSWORD=bench

# measured ROW... -- COMMAND...: runs a command and adds a row: mix, step, tool, seconds, peak KiB.
measured() {
  local row=()
  while [ "$1" != -- ]; do row+=("$1") && shift; done
  shift
  sync
  /usr/bin/time -o "$tmp/time" -f '%e %M' "$@" >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; die "failed: $*"; }
  printf '%s %s\n' "${row[*]}" "$(tail -n 1 "$tmp/time")" >>"$tmp/rows"
}

# The three tools, each with: init MIX, backup MIX, restore MIX (into $tmp/out), and its repository in $tmp/repo.
coffer_init() { "$coffer" -C "$tmp/profile" setup --to "$tmp/repo" --new-key --keep-key file "$tmp/$1" >/dev/null 2>"$tmp/log" || { cat "$tmp/log" >&2; die "coffer setup failed"; }; }
coffer_backup() { echo "$coffer" -C "$tmp/profile" backup; }
coffer_restore() { echo "$coffer" -C "$tmp/profile" restore latest --target "$tmp/out"; }
restic_init() { restic -q -r "$tmp/repo" init >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; die "restic init failed"; }; }
restic_backup() { echo restic -q -r "$tmp/repo" backup "$tmp/$1"; }
restic_restore() { echo restic -q -r "$tmp/repo" restore latest --target "$tmp/out"; }
borg_init() { borg init -e repokey-blake2 "$tmp/repo" >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; die "borg init failed"; }; }
borg_backup() { echo borg create --compression zstd,1 "$tmp/repo::$2" "$tmp/$1"; }
borg_restore() { echo env -C "$tmp/out" borg extract "$tmp/repo::first"; }

# once ROUND MIX TOOL: all steps of one tool on one mix. What is restored is compared in the first round.
once() {
  local round=$1 mix=$2 tool=$3
  rm -rf "$tmp/repo" "$tmp/profile" "$tmp/out" "$HOME" && mkdir -p "$HOME" "$tmp/out"
  "${tool}_init" "$mix"
  # shellcheck disable=SC2046 # words on purpose: no path here has a space
  {
    measured "$mix" first "$tool" -- $("${tool}_backup" "$mix" first)
    measured "$mix" unchanged "$tool" -- $("${tool}_backup" "$mix" second)
    printf '%s size %s %s 0\n' "$mix" "$tool" "$(du -sb --apparent-size "$tmp/repo" | cut -f1)" >>"$tmp/rows"
    measured "$mix" restore "$tool" -- $("${tool}_restore" "$mix")
  }
  [ "$round" != 1 ] || diff -rq "$tmp/$mix" "$tmp/out/$tmp/$mix" >&2 || die "$tool did not give back what it was given"
}

table() {
  awk '
    { k = $1 " " $2 " " $3; v[k, ++n[k]] = $4; if ($5 > peak[k]) peak[k] = $5 }
    function median(k,   i, j, t, a) {
      for (i = 1; i <= n[k]; i++) a[i] = v[k, i]
      for (i = 1; i <= n[k]; i++) for (j = i + 1; j <= n[k]; j++) if (a[j] < a[i]) { t = a[i]; a[i] = a[j]; a[j] = t }
      return n[k] % 2 ? a[(n[k] + 1) / 2] : (a[n[k] / 2] + a[n[k] / 2 + 1]) / 2
    }
    function line(name, form, c, r, b) { printf "%-28s " form "  " form "  " form "  %8.2f %8.2f\n", name, c, r, b, r / c, b / c }
    END {
      printf "%-28s %9s  %9s  %9s  %8s %8s\n", "", "coffer", "restic", "borg", "restic/c", "borg/c"
      for (m = split("large small", mixes, " "); m > 0; m--) {
        mix = mixes[3 - m]
        for (s = 1; s <= split("first unchanged restore", steps, " "); s++) {
          p = mix " " steps[s] " "
          line(mix " " steps[s] ", seconds", "%9.2f", median(p "coffer"), median(p "restic"), median(p "borg"))
          line(mix " " steps[s] ", peak MiB", "%9.0f", peak[p "coffer"] / 1024, peak[p "restic"] / 1024, peak[p "borg"] / 1024)
          if (peak[p "coffer"] > 400 * 1024) over = over " " mix "/" steps[s]
        }
        p = mix " size "
        line(mix " repository, MB", "%9.1f", median(p "coffer") / 1e6, median(p "restic") / 1e6, median(p "borg") / 1e6)
      }
      print over ? "OVER 400 MiB:" over : "coffer stayed below 400 MiB in all of them"
    }' "$tmp/rows"
}

gen=$tmp/gen
CGO_ENABLED=0 go build -o "$gen" ./bench/gen
for mix in large small; do
  step "making the files: $mix" "$gen" -mix $mix -scale "$scale" -to "$tmp/$mix"
done
find "$tmp/large" "$tmp/small" -type f -print0 | xargs -0 cat >/dev/null # every tool meets a warm cache

started=$SECONDS done_rounds=0
for round in $(seq "$rounds"); do
  [ "$round" = 1 ] || [ $((SECONDS - started)) -lt "$limit" ] || break
  for mix in large small; do
    for tool in coffer restic borg; do
      step "round $round, $mix, $tool" once "$round" $mix $tool
    done
  done
  done_rounds=$round
done

{
  printf 'scale %s, median of %s rounds, %s, %s cores, %s\n' "$scale" "$done_rounds" "$(uname -sm)" "$(nproc)" "$("$coffer" version 2>/dev/null | head -n 1)"
  printf '%s; %s\n\n' "$(restic version)" "$(borg --version)"
  table
} | tee build/bench.txt

step "places" scripts/bench_places.sh | tee -a build/bench.txt
step "the vault" scripts/bench_vault.sh | tee -a build/bench.txt

benchmarks() {
  git grep -lE '^func Benchmark' -- '*_test.go' | xargs -r -n 1 dirname | sort -u | sed 's|^|./|' |
    CGO_ENABLED=0 xargs -r go test -tags "$HEADLESS_TAGS" -run '^$' -bench . -benchtime 300ms -benchmem
}
step "benchmarks of the packages" benchmarks | tee -a build/bench.txt
