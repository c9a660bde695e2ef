#!/bin/sh
# check_meson.sh - Meson finds the library, installed or as a subproject
#
# A program of two lines is built against an installed copy, which
# dependency('libgraceclose') finds by pkg-config, and against the sources in
# subprojects/, with the shared library and with the static one; and runs.
cc=${CC:-cc}
for tool in meson:meson ninja:ninja-build pkg-config:pkg-config; do
	command -v "${tool%:*}" >/dev/null || {
		echo "SKIP check_meson: no ${tool%:*}" \
		    "(apt-get install ${tool#*:})"
		exit 77
	}
done
case ${CFLAGS-} in *-fsanitize=*)
	echo "SKIP check_meson: Meson has a setting of its own for sanitizers"
	exit 77 ;;
esac
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
die() { echo "check_meson: $*"; exit 1; }
version=$(sed -n 's/^VERSION[[:space:]]*= *//p' Makefile)

"${MAKE:-make}" -s BUILD="${BUILD:-build}" TOOLS= install DESTDIR= \
    PREFIX="$dir/gc" >"$dir/log" 2>&1 ||
    { cat "$dir/log"; die "make install failed"; }

mkdir -p "$dir/use/subprojects/libgraceclose"
cat >"$dir/use/use.c" <<'EOT'
#include <graceclose.h>
int main(void) { return peer_closed(-1) != -1; }
EOT
cat >"$dir/use/meson.build" <<EOT
project('use', 'c', version: '$version')
dep = dependency('libgraceclose', version: '$version')
executable('shared', 'use.c', dependencies: dep)
if dep.type_name() == 'pkgconfig'
  executable('static', 'use.c',
    dependencies: dependency('libgraceclose', static: true))
endif
EOT
# use NAME OPTION...
use() {
	name=$1
	shift
	{ CC=$cc meson setup "$dir/$name" "$dir/use" --buildtype=plain \
	    --wrap-mode=nodownload "$@" && ninja -C "$dir/$name"; } \
	    >"$dir/log" 2>&1 || { cat "$dir/log"; die "no build: $name"; }
}
# runs PROGRAM COUNT: with how many shared libraries of ours.
runs() {
	LD_LIBRARY_PATH=$dir/gc/lib "$1" || die "the program failed: $1"
	[ "$(ldd "$1" | grep -c libgraceclose.so.1)" = "$2" ] ||
	    die "$1 links the other library"
}

export PKG_CONFIG_LIBDIR="$dir/gc/lib/pkgconfig"
use installed
runs "$dir/installed/shared" 1
runs "$dir/installed/static" 0

# Both libraries of the subproject; the shared one is as the Makefile's.
PKG_CONFIG_LIBDIR=$dir/nowhere
cp -R Makefile meson.build include lib "$dir/use/subprojects/libgraceclose"
use subproject --force-fallback-for=libgraceclose
built=$dir/subproject/subprojects/libgraceclose
runs "$dir/subproject/shared" 1
"$cc" -Iinclude -o "$dir/static" "$dir/use/use.c" "$built/libgraceclose.a" \
    -pthread || die "the static library of the subproject does not link"
runs "$dir/static" 0
symbols() {
	nm -D --defined-only "$1/libgraceclose.so.1" | cut -d ' ' -f 2- | sort
	readelf -d "$1/libgraceclose.so.1" | grep -oE 'SONAME.*|NODELETE'
}
symbols "$dir/gc/lib" >"$dir/make"
symbols "$built" >"$dir/meson"
grep -q graceful_close "$dir/make" || die "nm found no symbols"
diff "$dir/make" "$dir/meson" || die "make (<) and Meson (>) differ"
[ "$(wc -l <meson.build)" -lt 40 ] || die "meson.build has 40 lines"
