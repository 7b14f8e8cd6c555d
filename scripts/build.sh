#!/usr/bin/env bash
# build.sh cli|desktop|vault: builds build/coffer (static, no cgo), build/coffer-desktop (the window), or
# build/coffer-vault (static) and, where there is a C compiler, build/coffer-vault-pkcs11 (with PKCS#11).
. "$(dirname "$0")/lib.sh"
use_go

# A release says its tag; every other build says the commit that Go finds by itself.
release=$(git describe --tags --exact-match 2>/dev/null || true)
flags=(-trimpath -buildvcs=auto -ldflags "-s -w -X main.release=$release")
mkdir -p build
case ${1:-} in
  cli) CGO_ENABLED=0 go build "${flags[@]}" -o build/coffer ./cmd/coffer ;;
  desktop)
    scripts/packages.sh desktop
    case $(uname -s) in
      Linux) CC=clang CGO_ENABLED=1 go build "${flags[@]}" -tags "$DESKTOP_TAGS" -o build/coffer-desktop . ;;
      *) CGO_ENABLED=1 go build "${flags[@]}" -tags migrated_fynedo -o build/coffer-desktop . ;;
    esac
    ;;
  vault)
    CGO_ENABLED=0 go build "${flags[@]}" -o build/coffer-vault ./cmd/coffer-vault
    if command -v "$(go env CC)" >/dev/null; then
      CGO_ENABLED=1 go build "${flags[@]}" -o build/coffer-vault-pkcs11 ./cmd/coffer-vault
    else
      say "no C compiler: coffer-vault-pkcs11 is not built"
    fi
    ;;
  *) die "usage: build.sh cli|desktop|vault" ;;
esac
