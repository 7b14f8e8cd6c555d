#!/usr/bin/env bash
# run.sh: builds Coffer and opens its window; where there is no display, shows what Coffer does on the command line.
. "$(dirname "$0")/lib.sh"

# demo WHY: the window's libraries and its two-minute build are left out, because nothing could be shown.
demo() {
  say "$1: showing Coffer at work on the command line instead (coffer demo)."
  exec build/coffer demo
}

step "building build/coffer" scripts/build.sh cli
case $(uname -s) in
  Linux | *BSD) [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || demo "There is no display here" ;;
esac
step "building build/coffer-desktop" scripts/build.sh desktop
build/coffer-desktop --probe || demo "No window can be opened here"
exec build/coffer-desktop "$@"
