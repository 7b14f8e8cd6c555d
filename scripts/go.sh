#!/usr/bin/env bash
# Prints the path of a Go that can build this module. Looks at what is installed. On Linux else Debian's Go, which is too
# old to build it, fetches the toolchain that go.mod names as the Go module that it is, checked against the checksum
# database, into build/tools: nothing outside this folder changes.
. "$(dirname "$0")/lib.sh"

want=$(awk '$1 == "go" { print $2 }' go.mod)

# newer HAVE: HAVE is at least the version that go.mod wants.
newer() { [ "$(printf '%s\n%s\n' "$want" "$1" | sort -V | head -n 1)" = "$want" ]; }

# usable GO: it is new enough, or new enough to fetch the right one by itself (1.21, unless told not to).
usable() {
  local have
  have=$("$1" env GOVERSION 2>/dev/null) || return 1
  newer "${have#go}" && return 0
  [ "$(cd / && "$1" env GOTOOLCHAIN 2>/dev/null)" != local ] && [[ "$(cd / && GOTOOLCHAIN=go$want "$1" version 2>/dev/null)" == *" go$want "* ]]
}

fetch() {
  local arch=$1 dir=$PWD/build/tools/go$want found
  if [ ! -x "$dir/bin/go" ]; then
    say "Go $want is not installed; fetching it into build/tools (60 MB, once)"
    scripts/packages.sh fetch
    mkdir -p build/tools
    cache=$(mktemp -d build/tools/go.XXXXXX)
    trap 'rm -rf "$cache"' EXIT # global on purpose: the trap outlives this function
    printf 'module fetch\n' >"$cache/go.mod" # ours is too new for the Go that fetches
    found=$(cd "$cache" && GOFLAGS=-modcacherw GOPATH=$PWD/path go mod download -json "golang.org/toolchain@v0.0.1-go$want.linux-$arch" |
      sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    [ -n "$found" ] && [ -d "$found/bin" ] || return 1
    # A module's zip may hold no second go.mod, so the toolchain's are stored as _go.mod; and no file is executable.
    find "$found/src" -name _go.mod -execdir mv {} go.mod \;
    chmod +x "$found"/bin/* "$found"/pkg/tool/*/*
    rm -rf "$dir" && mv "$found" "$dir"
  fi
  printf '%s\n' "$dir/bin/go"
}

for go in "$(command -v go || true)" /usr/local/go/bin/go "$HOME/go/bin/go" "$HOME/sdk/go$want/bin/go"; do
  if [ -x "$go" ] && usable "$go"; then
    printf '%s\n' "$go"
    exit 0
  fi
done
case $(uname -s)/$(uname -m) in
  Linux/x86_64) fetch amd64 && exit 0 ;;
  Linux/aarch64) fetch arm64 && exit 0 ;;
esac
die "Coffer needs Go $want or newer, and there is none here. Install it from https://go.dev/dl/ (unpack it to /usr/local/go), then run this again."
