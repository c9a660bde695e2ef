#!/bin/sh
# check_abi.sh - a program that was linked with a release runs with this library
#
# abidiff compares the dumps in test/abi, each release with the one before, and
# the library of BUILD with the last release.  A function that was added is no
# difference, nor what VERSION.suppr allows.  After a release of VERSION its
# dump is the measure: nothing may be added until VERSION has changed.
build=${BUILD:-build}
for tool in abidiff abidw; do
	command -v $tool >/dev/null || {
		echo "SKIP check_abi: no $tool (apt-get install abigail-tools)"
		exit 77
	}
done
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
die() { echo "check_abi: $*"; exit 1; }

# places DUMP: the size of each struct, and where its members are.  What is
# reserved may get names; the members of struct graceclose are private.
places() {
	awk -F"'" '/<class-decl / && /size-in-bits/ { type = $2; print type, $4 }
	    /<\/class-decl>/ { type = "" }
	    /<data-member / { at = $4 }
	    /<var-decl / && type ~ /_/ && $2 !~ /^reserved/ {
		print type "." $2, at }' "$1" | sort
}

# compare OLD NEW VERSION [OPTION]: the changes of VERSION are those allowed.
compare() {
	old=$1 new=$2 allowed=test/abi/$3.suppr
	shift 3
	places "$old" >"$dir/old"
	places "$new" >"$dir/new"
	[ -s "$dir/old" ] || die "no struct was found in $old"
	comm -23 "$dir/old" "$dir/new" >"$dir/moved"
	[ ! -s "$dir/moved" ] || {
		echo "size or offset of a released struct, in bits:"
		diff "$dir/old" "$dir/new" | grep '^[<>]'
		return 1
	}
	[ ! -f "$allowed" ] || set -- "$@" --suppr "$allowed"
	abidiff "$@" "$old" "$new" >"$dir/diff" 2>&1 && return
	cat "$dir/diff"
	return 1
}

version=$(sed -n 's/^VERSION[[:space:]]*= *//p' Makefile)
last=
for release in $(ls test/abi/*.abi | sed 's|.*/||; s|\.abi$||' | sort -V); do
	[ -z "$last" ] || compare test/abi/"$last".abi test/abi/"$release".abi \
	    "$release" --no-added-syms ||
	    die "$release breaks programs linked with $last"
	last=$release
done
[ -n "$last" ] || die "there is no dump in test/abi"
[ "$(printf '%s\n' "$last" "$version" | sort -V | tail -n 1)" = "$version" ] ||
    die "the Makefile's version $version is older than test/abi/$last.abi"

# Dumps are of processors with pointers of 8 bytes.
size=$(echo __SIZEOF_POINTER__ | ${CC:-cc} -E -P -)
[ "$size" = 8 ] || {
	echo "SKIP check_abi: the dumps are not of pointers of $size bytes"
	exit 77
}
test/abi/dump.sh "$build/libgraceclose.so" "$dir/built.abi" || exit 1
grep -q "class-decl name='graceclose_opts'" "$dir/built.abi" || {
	"${MAKE:-make}" -s BUILD="$dir/debug" CFLAGS='-O0 -g' lib \
	    >"$dir/log" 2>&1 || { cat "$dir/log"; die "make lib failed"; }
	test/abi/dump.sh "$dir/debug/libgraceclose.so" "$dir/built.abi"
}
if [ "$last" = "$version" ]; then
	compare test/abi/"$last".abi "$dir/built.abi" none ||
	    die "$last is released as test/abi/$last.abi; a change needs" \
	    "another VERSION, see CONTRIBUTING.md"
else
	compare test/abi/"$last".abi "$dir/built.abi" "$version" \
	    --no-added-syms ||
	    die "this library breaks programs linked with $last; for a" \
	    "reserved field that got a name see CONTRIBUTING.md"
fi
