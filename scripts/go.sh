#!/usr/bin/env bash
# Prints the path of a Go that can build this module. Looks at what is installed; on Linux it else fetches the
# toolchain that go.mod names from the Go module proxy into build/tools, and checks it against the hash below
# (the one in sum.golang.org), because Debian's own Go is too old and nothing outside this folder shall change.
. "$(dirname "$0")/lib.sh"

want=$(awk '$1 == "go" { print $2 }' go.mod)
proxy=${GOPROXY:-https://proxy.golang.org}
proxy=${proxy%%[,|]*}
case $proxy in direct | off | '') proxy=https://proxy.golang.org ;; esac

# newer HAVE: HAVE is at least the version that go.mod wants.
newer() { [ "$(printf '%s\n%s\n' "$want" "$1" | sort -V | head -n 1)" = "$want" ]; }

# usable GO: it is new enough, or new enough to fetch the right one by itself (1.21, unless told not to).
usable() {
  local have
  have=$("$1" env GOVERSION 2>/dev/null) || return 1
  newer "${have#go}" && return 0
  [ "$(cd / && "$1" env GOTOOLCHAIN 2>/dev/null)" != local ] && (cd / && GOTOOLCHAIN=go$want "$1" version) >/dev/null 2>&1
}

# h1 FOLDER PREFIX prints the folder's hash the way golang.org/x/mod/sumdb/dirhash defines it (Hash1).
h1() {
  (cd "$1" && find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum) |
    sed "s|  |  $2/|" | sha256sum | cut -d' ' -f1 | xxd -r -p | base64
}

fetch() {
  local arch=$1 sum=$2 name dir
  name=golang.org/toolchain@v0.0.1-go$want.linux-$arch
  dir=$PWD/build/tools/go$want
  if [ ! -x "$dir/bin/go" ]; then
    say "Go $want is not installed; fetching it into build/tools (60 MB, once)"
    scripts/packages.sh fetch
    mkdir -p build/tools
    zip=$(mktemp -d build/tools/go.XXXXXX)
    trap 'rm -rf "$zip"' EXIT # global on purpose: the trap outlives this function
    curl -fsSL --retry 3 -o "$zip/go.zip" "$proxy/golang.org/toolchain/@v/v0.0.1-go$want.linux-$arch.zip" || return 1
    unzip -q "$zip/go.zip" -d "$zip"
    [ "$(h1 "$zip/$name" "$name")" = "$sum" ] || die "the Go that $proxy sent is not the one that was published: nothing was installed"
    # A module's zip may hold no second go.mod, so the toolchain's are stored as _go.mod.
    find "$zip/$name/src" -name _go.mod -execdir mv {} go.mod \;
    chmod -R a+rX "$zip/$name" && chmod +x "$zip/$name"/bin/* "$zip/$name"/pkg/tool/*/*
    rm -rf "$dir" && mv "$zip/$name" "$dir"
  fi
  printf '%s\n' "$dir/bin/go"
}

for go in "$(command -v go || true)" /usr/local/go/bin/go "$HOME/go/bin/go" "$HOME/sdk/go$want/bin/go"; do
  if [ -x "$go" ] && usable "$go"; then
    printf '%s\n' "$go"
    exit 0
  fi
done
case $want/$(uname -s)/$(uname -m) in
  1.26.8/Linux/x86_64) fetch amd64 ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM= && exit 0 ;;
  1.26.8/Linux/aarch64) fetch arm64 sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc= && exit 0 ;;
esac
die "Coffer needs Go $want or newer, and there is none here. Install it from https://go.dev/dl/ (unpack it to /usr/local/go), then run this again."
