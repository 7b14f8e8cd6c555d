# shellcheck shell=bash
# What the other scripts share. Sourced, never run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# step NAME COMMAND... runs one part of a longer script, says how long it took, and gives its exit status.
step() {
  local name=$1 start=$SECONDS status=0
  shift
  say "== $name"
  "$@" || status=$? # note: "set -e" does not hold inside a function that is called like this
  say "   $name: $((SECONDS - start)) s$([ $status = 0 ] || echo ", FAILED ($status)")"
  return $status
}

# Tools and servers that are Go programs, each at exactly one version, below this folder.
export TOOLS=$PWD/build/tools

# tool NAME VERSION PACKAGE builds TOOLS/NAME-VERSION/NAME, once.
tool() {
  local dir=$TOOLS/$1-$2
  [ -x "$dir/$1" ] && return
  say "building $1 $2 (once)"
  rm -rf "$dir"
  GOBIN=$dir CGO_ENABLED=0 GOFLAGS=-trimpath go install "$3@$2"
}

# A real server of S3, over a folder. Older ones have no --keep-alive.
versitygw() { tool versitygw v1.8.0 github.com/versity/versitygw/cmd/versitygw; }

# Tags that leave OpenGL out: package fyne/app then uses its software driver, so everything, the root package too,
# can be vetted and tested without a C library of the window system.
export HEADLESS_TAGS=ci
# Tags of the real desktop program on Linux: GLES and X11 alone make a cold build ten times faster.
export DESKTOP_TAGS=x11,gles,no_emoji,migrated_fynedo

# A toolchain that scripts/go.sh fetched wins over none and over one that is too old.
use_go() {
  local go
  go=$(scripts/go.sh) || exit 1
  PATH=$(dirname "$go"):$PATH
  export PATH
}
