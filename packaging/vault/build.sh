#!/bin/sh
# Builds the vault's program, static, and packs it with what runs it, as an archive and,
# where dpkg-deb is installed, as a package for Debian and its relatives:
#   build.sh [OUTPUT-FOLDER]     (default: build/vault)
# For a token: PKCS11=1 build.sh makes coffer-vault-pkcs11 as well, which needs a C compiler
# and is not static.
set -eu
umask 022
cd "$(dirname "$0")/../.."
out=${1:-build/vault}
arch=${GOARCH:-$(go env GOARCH)}
mkdir -p "$out"

from=packaging/vault/debian
version=$(sed -n 's/^coffer-vault (\(.*\)) .*/\1/p;q' $from/changelog)
if ! grep -q "^const release = \"$version\"\$" cmd/coffer-vault/version.go; then
	echo "build.sh: $from/changelog says $version, and cmd/coffer-vault/version.go says something else" >&2
	exit 1
fi

# package makes coffer-vault_VERSION_ARCH.deb of what pack has staged. The files are as old as
# the changelog's last entry.
package() { # STAGE
	if ! command -v dpkg-deb >/dev/null; then
		echo "build.sh: dpkg-deb is not installed: no .deb is built" >&2
		return
	fi
	tree=$1/deb
	doc=$tree/usr/share/doc/coffer-vault
	install -D -m 755 "$1/coffer-vault" "$tree/usr/bin/coffer-vault"
	install -D -m 644 packaging/vault/coffer-vault.service "$tree/lib/systemd/system/coffer-vault.service"
	install -D -m 644 packaging/vault/coffer-vault.sysusers "$tree/usr/lib/sysusers.d/coffer-vault.conf"
	for example in tpm port pkcs11; do
		install -D -m 644 packaging/vault/coffer-vault-$example.conf "$doc/examples/$example.conf"
	done
	install -m 644 $from/copyright $from/README.Debian docs/self-hosting.md docs/scaling.md "$doc/"
	gzip -9n <$from/changelog >"$doc/changelog.gz"
	install -D -m 644 /dev/null "$tree/usr/share/man/man1/coffer-vault.1.gz"
	gzip -9n <packaging/vault/coffer-vault.1 >"$tree/usr/share/man/man1/coffer-vault.1.gz"
	install -D -m 644 $from/lintian-overrides "$tree/usr/share/lintian/overrides/coffer-vault"
	# Debian's names of the architectures that have others in Go.
	case $arch in 386) deb=i386 ;; arm) deb=armhf ;; ppc64le) deb=ppc64el ;; *) deb=$arch ;; esac
	size=$(du -sk --apparent-size "$tree" | cut -f1)
	mkdir "$tree/DEBIAN"
	sed "s/@VERSION@/$version/; s/@ARCH@/$deb/; s/@SIZE@/$size/" $from/control >"$tree/DEBIAN/control"
	(cd "$tree" && find usr lib -type f | LC_ALL=C sort | xargs md5sum >DEBIAN/md5sums)
	install -m 755 $from/postinst $from/prerm $from/postrm "$tree/DEBIAN/"
	at=$(date -u -d "$(sed -n 's/^ -- .*>  //p;/^ -- /q' $from/changelog)" +%s)
	find "$tree" -exec touch -h -d "@$at" {} +
	# One thread: with more of them the archive depends on how many there are.
	SOURCE_DATE_EPOCH=$at DPKG_DEB_THREADS_MAX=1 dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/coffer-vault_${version}_$deb.deb" >/dev/null
	echo "$out/coffer-vault_${version}_$deb.deb"
}

pack() { # NAME CGO
	stage=$(mktemp -d)
	trap 'rm -rf "$stage"' EXIT
	CGO_ENABLED=$2 GOOS=linux GOARCH=$arch go build -trimpath -ldflags='-s -w -buildid=' -o "$stage/$1" ./cmd/coffer-vault
	cp packaging/vault/coffer-vault.service packaging/vault/coffer-vault-*.conf packaging/vault/coffer-vault.sysusers \
		packaging/vault/coffer-vault.1 packaging/vault/Containerfile packaging/vault/README.md "$stage/"
	cp /etc/ssl/certs/ca-certificates.crt "$stage/" # of Debian's package ca-certificates: the Containerfile wants it
	# One tree, one archive: names sorted, nobody's clock, nobody's user.
	tar --sort=name --mtime="@${SOURCE_DATE_EPOCH:-0}" --owner=0 --group=0 --numeric-owner \
		-C "$stage" -cf - . | gzip -n >"$out/$1-linux-$arch.tar.gz"
	if [ "$1" = coffer-vault ]; then
		package "$stage"
	fi
	rm -rf "$stage"
	trap - EXIT
	echo "$out/$1-linux-$arch.tar.gz"
}

pack coffer-vault 0
if [ "${PKCS11:-0}" = 1 ]; then
	pack coffer-vault-pkcs11 1
fi
