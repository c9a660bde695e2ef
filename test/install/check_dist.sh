#!/bin/sh
# check_dist.sh - the tarball of make dist is all that a user needs
#
# It is unpacked where there is no git.  There the library is built, installed
# and removed, with a C compiler alone: make does without pkg-config.  A program
# of two lines is compiled with pkg-config and runs.  make dist in there says
# what to do.  The tarball is of the last commit.
cc=${CC:-cc}
[ -e .git ] && command -v git >/dev/null || {
	echo "SKIP check_dist: no git (apt-get install git), or no clone"
	exit 77
}
command -v pkg-config >/dev/null || {
	echo "SKIP check_dist: no pkg-config (apt-get install pkg-config)"
	exit 77
}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
die() { echo "check_dist: $*"; exit 1; }
version=$(sed -n 's/^VERSION[[:space:]]*= *//p' Makefile)
name=libgraceclose-$version

make_() { "${MAKE:-make}" -s "$@" >"$dir/log" 2>&1; }
# must WHAT COMMAND...
must() {
	what=$1
	shift
	"$@" || { cat "$dir/log"; die "$what failed"; }
}
must "make dist" make_ BUILD="$dir" dist
mkdir "$dir/empty"
tar xzf "$dir/$name.tar.gz" -C "$dir/empty" || die "tar cannot unpack $name"
git ls-tree -r --name-only HEAD | sed "s|^|$name/|" | sort >"$dir/commit"
(cd "$dir/empty" && find * ! -type d | sort) | diff "$dir/commit" - ||
    die "the commit (<) and the tarball (>) differ"

# Nothing of this clone, nor of git, is within reach.
unset GIT_DIR GIT_WORK_TREE
export GIT_CEILING_DIRECTORIES="$dir/empty"
cd "$dir/empty/$name" || exit 1
make_ BUILD=build dist && die "make dist packs something without git"
grep -q '^error: .*git clone' "$dir/log" ||
    { cat "$dir/log"; die "make dist does not say what to do without git"; }
# What is fast: the bytes do not matter here, the files do.
must "make install" make_ BUILD=build CFLAGS="-O0 ${CFLAGS-}" DESTDIR= \
    PREFIX="$dir/gc" PKG_CONFIG=false install

cat >"$dir/use.c" <<'EOT'
#include <graceclose.h>
int main(void) { return peer_closed(-1) != -1; }
EOT
export PKG_CONFIG_LIBDIR="$dir/gc/lib/pkgconfig"
flags=$(pkg-config --cflags --libs libgraceclose) || die "pkg-config failed"
case ${CFLAGS-} in *-fsanitize=*) flags="$flags $CFLAGS" ;; esac
# shellcheck disable=SC2086 # the flags are words
"$cc" -o "$dir/use" "$dir/use.c" $flags || die "the program does not link"
LD_LIBRARY_PATH=$dir/gc/lib "$dir/use" || die "the program failed"

must "make uninstall" make_ BUILD=build DESTDIR= PREFIX="$dir/gc" PKG_CONFIG=false uninstall
left=$(find "$dir/gc" ! -type d)
[ -z "$left" ] || die "make uninstall left $left"
must "make clean" make_ BUILD=build clean
