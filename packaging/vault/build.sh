#!/bin/sh
# Builds the vault's program, static, and packs it with what runs it:
#   build.sh [OUTPUT-FOLDER]     (default: build/vault)
# For a token: PKCS11=1 build.sh makes coffer-vault-pkcs11 as well, which needs a C compiler
# and is not static.
set -eu
cd "$(dirname "$0")/../.."
out=${1:-build/vault}
arch=${GOARCH:-$(go env GOARCH)}
mkdir -p "$out"

pack() { # NAME CGO
	stage=$(mktemp -d)
	trap 'rm -rf "$stage"' EXIT
	CGO_ENABLED=$2 GOOS=linux GOARCH=$arch go build -trimpath -ldflags='-s -w -buildid=' -o "$stage/$1" ./cmd/coffer-vault
	cp packaging/vault/coffer-vault.service packaging/vault/coffer-vault-tpm.conf packaging/vault/coffer-vault-port.conf \
		packaging/vault/coffer-vault.sysusers packaging/vault/Containerfile packaging/vault/README.md "$stage/"
	cp /etc/ssl/certs/ca-certificates.crt "$stage/" # of Debian's package ca-certificates: the Containerfile wants it
	# One tree, one archive: names sorted, nobody's clock, nobody's user.
	tar --sort=name --mtime="@${SOURCE_DATE_EPOCH:-0}" --owner=0 --group=0 --numeric-owner \
		-C "$stage" -cf - . | gzip -n >"$out/$1-linux-$arch.tar.gz"
	rm -rf "$stage"
	trap - EXIT
	echo "$out/$1-linux-$arch.tar.gz"
}

pack coffer-vault 0
if [ "${PKCS11:-0}" = 1 ]; then
	pack coffer-vault-pkcs11 1
fi
