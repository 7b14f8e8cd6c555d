#!/usr/bin/env bash
# test.sh: installs what the tests need, and runs all of them. Every part runs, also after one has failed; the exit
# status is that of the worst. A single package is quicker by hand: go test -race ./app/repo
. "$(dirname "$0")/lib.sh"
scripts/packages.sh race desktop reader interop attributes
[ "$(uname -s)" != Linux ] || scripts/packages.sh window keyring places vault
use_go

failed=()
# part NAME COMMAND... runs one part, and remembers when it failed.
part() { step "$@" || failed+=("$1"); }

# Fyne forgets how to draw what it has not drawn for a minute: on a machine that is busy with other things a picture
# would lose its cards and buttons half-way.
unit() { FYNE_CACHE=1h COFFER_E2E_PLACES=0 COFFER_E2E_VAULT=0 CGO_ENABLED=1 go test -race -shuffle=on -timeout 20m -tags "$HEADLESS_TAGS" ./...; }

# servers makes sure of the real servers that the tests of the places start: a test whose server is missing skips, and
# here nothing shall.
servers() {
  versitygw || return
  local server
  for server in apache2 rclone sshd ssh-keygen softhsm2-util swtpm etcd gcore ip "$TOOLS"/versitygw-*/versitygw; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$server" >/dev/null || { say "there is no $server"; return 1; }
  done
  [ -e /usr/lib/apache2/modules/mod_dav_fs.so ] || { say "Apache has no mod_dav_fs"; return 1; }
}

# Whole backups through the command line, as built, to every kind of place; kills, and the troubles of each.
places() { COFFER_E2E_PLACES=1 CGO_ENABLED=0 go test -count=1 -timeout 10m ./e2e/places; }

# The promises of the key vault, each with every sealer and store that it is made for: the program as built, real etcd,
# SoftHSM2, swtpm, network namespaces.
vault() { COFFER_E2E_VAULT=1 CGO_ENABLED=1 go test -count=1 -timeout 15m ./e2e/vault; }

# Fifty kills, memory that is measured, many random trees, all stories and pictures of the window, and places with many
# objects, large ones and hundreds of faults mean little and take long under the race detector: there the tests do less of them.
heavy() {
  local status=0
  CGO_ENABLED=0 go test -count=1 -timeout 10m -run 'Conformance|Memory|Many|Large|Fault' ./cloud/{cloudtest,drive,folder,icloud,s3,sftp,webdav} || status=$?
  CGO_ENABLED=0 go test -count=1 -timeout 10m -run 'Kill|Memory|RandomTrees' ./app || status=$?
  FYNE_CACHE=1h CGO_ENABLED=0 go test -count=1 -timeout 10m -tags "$HEADLESS_TAGS" -run 'Pictures|Stories' ./ui || status=$?
  return $status
}

# The static binary is not what the tests above ran: this is, without cgo and the race detector.
demo() {
  scripts/build.sh cli || return
  build/coffer demo >build/demo.log 2>&1 && return
  cat build/demo.log
  return 1
}

# A second program, written from docs/format.md alone, opens the sample and what this build has just written.
reader() { python=$(command -v /usr/bin/python3 || command -v python3) && "$python" docs/reader/test_coffer_reader.py; }

# The unit tests start a real gnome-keyring, and skip that where there is none. Here there is one: a skip is a failure.
keyring() {
  local out
  out=$(CGO_ENABLED=1 go test -race -count=1 -v -tags "$HEADLESS_TAGS" -run Gnome ./internal/keyring) || { printf '%s\n' "$out"; return 1; }
  printf '%s\n' "$out" | grep -E '^(--- |ok )'
  grep -q '^--- PASS: TestGnomeKeyring' <<<"$out"
}

# The real window, on a display that nobody sees.
window() {
  scripts/build.sh desktop && scripts/build.sh vault || return
  COFFER_E2E=1 CGO_ENABLED=0 go test -count=1 -timeout 8m -tags "$HEADLESS_TAGS" ./e2e
}

part "vet" env CGO_ENABLED=0 go vet -tags "$HEADLESS_TAGS" ./...
[ "$(uname -s)" != Linux ] || part "the servers that the tests start" servers
part "unit tests and stories, with the race detector" unit
part "fifty kills, memory, random trees, stories, pictures, and places in full" heavy
part "the demo, with the static binary" demo
part "the second reader of the format" reader
if [ "$(uname -s)" = Linux ]; then
  part "the key store" keyring
  part "places, against real servers" places
  part "the vault's promises, with real tokens, TPMs and clusters" vault
  part "the window" window
else
  say "== the key store, the window, the places and the vault on real servers are tested on Linux only: NOT run here"
fi

[ ${#failed[@]} -eq 0 ] || die "$(printf 'FAILED: %s\n' "${failed[@]}")"
say "all parts passed in $SECONDS s"
