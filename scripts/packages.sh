#!/usr/bin/env bash
# packages.sh SET...: makes sure that the system packages of the sets are there. On Debian and its kin it installs what
# is missing, when it may (root, or sudo); elsewhere it says exactly what to install, and fails.
. "$(dirname "$0")/lib.sh"

# debian SET prints the set's Debian packages.
debian() {
  case $1 in
    fetch) echo ca-certificates golang-go ;;
    race) echo gcc libc6-dev ;;
    desktop) echo clang pkg-config libc6-dev libgl-dev libegl-dev libx11-dev libxcursor-dev libxrandr-dev libxinerama-dev libxi-dev libxxf86vm-dev ;;
    window) echo xvfb libgl1-mesa-dri libgl1 libegl1 libgles2 openbox xdotool wmctrl imagemagick dbus x11-utils libxcursor1 libxrandr2 libxinerama1 libxi6 poppler-utils ;;
    keyring) echo dbus gnome-keyring libsecret-tools ;;
    reader) echo python3 python3-cryptography python3-zstandard python3-cbor2 ;;
    interop) echo nodejs npm ;;
    attributes) echo acl attr ;;
    places) echo apache2-bin rclone openssh-server openssh-client ca-certificates ;;
    vault) echo softhsm2 swtpm swtpm-tools etcd-server gdb iproute2 ;;
    bench) echo restic borgbackup time ;;
    shell) echo shellcheck ;;
    *) die "packages.sh: no set named $1" ;;
  esac
}

# elsewhere SET says what the set is called on other systems.
elsewhere() {
  case $1/$(uname -s) in
    race/Darwin | desktop/Darwin) echo "Apple's command line tools (xcode-select --install)" ;;
    desktop/Linux) echo "clang, pkg-config and the development files of libGL, libEGL, X11, Xcursor, Xrandr, Xinerama, Xi, Xxf86vm (Debian: $(debian "$1"))" ;;
    desktop/MINGW* | desktop/MSYS*) echo "a C compiler: MSYS2 (https://www.msys2.org), then: pacman -S mingw-w64-ucrt-x86_64-clang" ;;
    *) echo "what Debian calls: $(debian "$1")" ;;
  esac
}

# works SET: what the set is for can be started. The test where no package manager of ours can be asked.
works() {
  local commands=()
  case $1 in
    fetch) commands=(go) ;;
    race | desktop) commands=(cc) ;;
    window) commands=(Xvfb openbox xdotool import pdftotext dbus-daemon) ;;
    keyring) commands=(dbus-run-session gnome-keyring-daemon) ;;
    reader) python3 -c 'import cryptography, zstandard, cbor2' 2>/dev/null || return ;;
    places) PATH=$PATH:/usr/sbin commands=(apache2 rclone sshd ssh-keygen) ;;
    vault) PATH=$PATH:/usr/sbin commands=(softhsm2-util swtpm etcd gcore ip) ;;
    bench) commands=(restic borg /usr/bin/time) ;;
    shell) commands=(shellcheck) ;;
    interop | attributes) ;; # their tests say by themselves what they skip
  esac
  for command in "${commands[@]:-true}"; do command -v "$command" >/dev/null || return; done
}

[ $# -gt 0 ] || die "usage: packages.sh SET..."
if ! command -v dpkg-query >/dev/null; then
  for set in "$@"; do
    debian "$set" >/dev/null
    works "$set" || die "please install $(elsewhere "$set"), then run this again"
  done
  exit 0
fi

need=()
for set in "$@"; do
  for package in $(debian "$set"); do
    # A node that did not come from Debian is as good as Debian's.
    [ "$set" = interop ] && command -v node >/dev/null && command -v npm >/dev/null && continue
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || need+=("$package")
  done
done
[ ${#need[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || die "please install, as root: apt-get install ${need[*]}"
  as_root=(sudo)
fi
say "installing: ${need[*]}"
# Debian starts the servers that it installs (openssh-server), unless this file says no. Here nobody asked for them:
# the tests start their own, on ports of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
  trap '"${as_root[@]}" rm -f $policy' EXIT
  "${as_root[@]}" chmod 755 $policy
fi
"${as_root[@]}" apt-get update -qq || die "apt-get update failed: is there a network?"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null ||
  die "could not install: ${need[*]}"
