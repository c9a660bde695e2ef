#!/bin/bash
# chroot.sh - what a minimal Debian does with the packages of `make deb'
#
# `make check-deb' calls it, with VERSION and BUILD, as root.  In a minimal
# Debian of this machine's release, made by mmdebstrap from this machine's
# mirror and kept in $BUILD/chroot:
#   use	apt installs the packages; man, closewatch, the tests of debian/tests;
#	apt purges the packages, and no file is left
#   build	apt installs the build dependencies alone; dpkg-buildpackage builds
#	the source package and runs its tests
# Without root, mmdebstrap or a mirror it says SKIP and exits with 77.
# usage: chroot.sh [use|build]...	both by default
set -eu -o pipefail
out=$BUILD/deb cache=$BUILD/chroot
source=libgraceclose-$VERSION

skip() { echo "SKIP check-deb: $*"; exit 77; }
die() { echo "error: check-deb: $*" >&2; exit 1; }

[ "$(id -u)" -eq 0 ] || skip "needs root"
command -v mmdebstrap >/dev/null ||
    skip "no mmdebstrap (apt-get install mmdebstrap)"
# Mounts of the chroot belong to this process, and end with it.
if [ "${1-}" != --inside ]; then
	unshare -m true 2>/dev/null || skip "may not mount"
	exec unshare -m "$0" --inside "$@"
fi
shift
[ $# -gt 0 ] || set -- use build

# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
# shellcheck disable=SC2016 # apt's own variables
mirror=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' \
    'Created-By: Packages' | sed -n "s/^Debian $release //p" | head -n 1)
[ -n "$mirror" ] || skip "apt has no mirror of Debian: apt-get update"

root=$(mktemp -d)
leave() { umount "$root"/c/{proc,dev} 2>/dev/null || :; }
trap 'leave; rm -rf --one-file-system "$root"' EXIT
trap 'exit 1' HUP INT TERM

# A minimal Debian with a compiler.  It keeps apt's lists, so that apt-get
# update is not needed again.
tar=$cache/$release.tar
if [ ! -s "$tar" ]; then
	echo "check-deb: mmdebstrap $release"
	mkdir -p "$cache"
	mmdebstrap --quiet --format=tar --variant=minbase \
	    --skip=cleanup/apt/lists --dpkgopt=force-unsafe-io \
	    --include=build-essential \
	    "$release" "$tar.new" "$mirror" >"$cache/log" 2>&1 || {
		tail -n 20 "$cache/log"
		rm -f "$tar.new"
		die "mmdebstrap failed: $cache/log"
	}
	mv "$tar.new" "$tar"
fi

# enter COMMAND...: in the chroot, with an environment of its own.
enter() {
	chroot "$root/c" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
	    LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive TERM=dumb "$@"
}

# quietly COMMAND...: prints only where it fails.
quietly() {
	"$@" >"$root/log" 2>&1 || { tail -n 30 "$root/log"; die "failed: $*"; }
}

# unpack: the minimal Debian, ready to enter.
unpack() {
	leave
	rm -rf --one-file-system "$root/c"
	mkdir "$root/c"
	tar -C "$root/c" -xf "$tar"
	cp -L /etc/resolv.conf "$root/c/etc/" 2>/dev/null || :
	mount -t proc proc "$root/c/proc"
	mount --bind /dev "$root/c/dev"
	mkdir "$root/c/deb"
	cp "$out"/*.{deb,dsc,xz,gz} "$root/c/deb/"
}

files() { (cd "$root/c" && find etc usr var/lib/dpkg/info -xdev | sort); }

use() {
	unpack
	quietly enter apt-get -q install -y --no-install-recommends \
	    cmake man-db pkg-config
	files >"$root/before"
	echo "check-deb: apt installs the packages"
	# shellcheck disable=SC2016 # for the shell in there
	quietly enter sh -c 'apt-get -q install -y --no-install-recommends \
	    $(ls /deb/*.deb | grep -v dbgsym)'
	files >"$root/after"
	for page in graceful_close graceclose_step closewatch replycheck \
	    '7 graceclose'; do
		# shellcheck disable=SC2086 # a section is a word of its own
		enter man -P cat $page >"$root/page" 2>&1 || :
		grep -q '^DESCRIPTION' "$root/page" || die "no page $page"
	done
	enter closewatch --help >/dev/null || die "closewatch --help failed"
	mkdir "$root/c/source"
	tar -C "$root/c/source" --strip-components=1 \
	    -xf "$BUILD/$source.tar.gz"
	sed -n 's/^Tests: //p' debian/tests/control | while read -r t; do
		echo "check-deb: debian/tests/$t"
		enter sh -c "cd /source && exec env \
		    AUTOPKGTEST_TMP=\$(mktemp -d) debian/tests/$t" </dev/null ||
		    die "debian/tests/$t failed"
	done
	# shellcheck disable=SC2016
	quietly enter sh -c 'apt-get -q purge -y --auto-remove \
	    $(sed -n "s/^Package: //p" /source/debian/control)'
	files >"$root/purged"
	comm -13 "$root/before" "$root/purged" >"$root/left"
	[ ! -s "$root/left" ] || { cat "$root/left"; die "purge left these"; }
	echo "check-deb: $(comm -13 "$root/before" "$root/after" | wc -l)" \
	    "paths installed, and none left after purge"
}

build() {
	unpack
	echo "check-deb: dpkg-buildpackage, with its build dependencies alone"
	quietly enter useradd -m builder
	quietly enter sh -c 'apt-get -q build-dep -y --no-install-recommends \
	    /deb/*.dsc && cd /home/builder && su builder -c \
	    "dpkg-source -x /deb/*.dsc source"'
	enter su builder -c 'cd ~/source && dpkg-buildpackage -b -us -uc' \
	    >"$out/chroot.log" 2>&1 || {
		tail -n 30 "$out/chroot.log"
		die "dpkg-buildpackage failed: $out/chroot.log"
	}
	sed -n 's/^[0-9]* passed/check-deb: &/p' "$out/chroot.log"
	(cd "$root/c/home/builder" && ls ./*.deb)
}

for what; do
	"$what"
done
