#!/bin/sh
# check_reproducible.sh - who builds, where and when, changes no byte
#
# The libraries of BUILD are compared with those built from a copy of the
# sources: another folder, reached through a link, with a space in its name,
# another umask, locale, time zone and age of the files.  The tarballs of two
# clones are compared likewise; without git that part is left out.
build=${BUILD:-build}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
die() { echo "check_reproducible: $*"; exit 1; }
# same WHAT ONE OTHER: the two files have the same bytes.
same() { cmp "$2" "$3" || die "$1 is not reproducible"; }

# The flags of this very make come to both by MAKEFLAGS.
make_() {
	"${MAKE:-make}" -s "$@" >"$dir/log" 2>&1 ||
	    { cat "$dir/log"; die "make $* failed"; }
}
# elsewhere COMMAND: run it as somebody else would.
elsewhere() (
	umask 077
	export LC_ALL=tr_TR.UTF-8 TZ=Pacific/Auckland HOME="$dir"
	cd "$dir/link" && "$@"
)

make_ BUILD="$build" lib
mkdir "$dir/another folder"
cp -R Makefile include lib "$dir/another folder"
find "$dir/another folder" -type f -exec touch -t 200102030405 {} +
ln -s "$dir/another folder" "$dir/link"
elsewhere make_ BUILD=other lib || exit 1
for lib in libgraceclose.a libgraceclose.so; do
	same "$lib" "$build/$lib" "$dir/link/other/$lib"
done
grep -q "$dir" "$dir/link/other/libgraceclose.so" &&
    die "the library has the name of the folder where it was built"

[ -e .git ] && command -v git >/dev/null || {
	echo "SKIP check_reproducible: no tarballs: no git, or no clone"
	exit 77
}
make_ BUILD="$dir/here" dist
rm "$dir/link"
git clone -q . "$dir/clone" || die "git clone failed"
cp Makefile "$dir/clone"	# the one that packs, if it is not committed
ln -s "$dir/clone" "$dir/link"
elsewhere env GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=tar.umask \
    GIT_CONFIG_VALUE_0=0077 GIT_CONFIG_KEY_1=core.autocrlf \
    GIT_CONFIG_VALUE_1=true "${MAKE:-make}" -s BUILD=other dist \
    >"$dir/log" 2>&1 || { cat "$dir/log"; die "make dist failed"; }
for tarball in "$dir"/here/*.tar.gz; do
	same "${tarball##*/}" "$tarball" "$dir/clone/other/${tarball##*/}"
done
