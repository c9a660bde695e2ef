#!/bin/sh
# build.sh - the Debian packages of the last commit, unsigned, in $BUILD/deb
#
# `make deb' calls it, with VERSION and BUILD, behind `make dist'.  Where lintian
# is installed, an error or a warning of it fails.  DEB_BUILD_OPTIONS and
# DEB_BUILD_PROFILES work as ever.
set -eu
name=libgraceclose-$VERSION
out=$BUILD/deb

die() { echo "error: $*" >&2; exit 1; }
for tool in dpkg-buildpackage:dpkg-dev dh:debhelper; do
	command -v "${tool%:*}" >/dev/null ||
	    die "${tool%:*} is missing: apt-get install ${tool#*:}"
done
debian=$(dpkg-parsechangelog -S Version)
[ "${debian%-*}" = "$VERSION" ] ||
    die "debian/changelog begins with $debian:" \
	"add an entry for $VERSION-0upstream1"
[ -z "$(git status --porcelain 2>/dev/null)" ] ||
    echo "make deb: what is not committed is not in the packages"

rm -rf "$out"
mkdir -p "$out"
# The tarball without debian/: dpkg-source adds that itself.
gzip -dc "$BUILD/$name.tar.gz" | tar -f - --delete "$name/debian" |
    gzip -n >"$out/libgraceclose_$VERSION.orig.tar.gz"
tar -C "$out" -xf "$BUILD/$name.tar.gz"
# No CFLAGS, CPPFLAGS or MAKEFLAGS of this make.
(cd "$out/$name" && env -i PATH="$PATH" HOME="${HOME:-/}" LC_ALL=C.UTF-8 \
    DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS-}" \
    DEB_BUILD_PROFILES="${DEB_BUILD_PROFILES-}" \
    dpkg-buildpackage -us -uc) >"$out/log" 2>&1 || {
	tail -n 40 "$out/log"
	die "dpkg-buildpackage failed: $out/log"
}
rm -rf "${out:?}/$name"
grep '^[0-9]* passed' "$out/log" || :
if grep -n 'warning:' "$out/log"; then
	die "a warning of dpkg-buildpackage: $out/log"
fi
if command -v lintian >/dev/null; then
	# shellcheck disable=SC2046 # without root there is no word
	lintian --fail-on error,warning \
	    $([ "$(id -u)" -ne 0 ] || echo --allow-root) "$out"/*.changes ||
	    die "lintian found errors or warnings"
else
	echo "SKIP lintian: not here (apt-get install lintian)"
fi
ls "$out"/*.deb
