#!/bin/sh
# release.sh VERSION - tarball, packages and checksums in $BUILD/release/VERSION
#
# `make release VERSION=x.y.z' calls it.  It refuses where the tree is dirty, or
# where one place does not name VERSION, and says for each what to do.
# release.sh --check VERSION looks, and makes nothing.
set -u
check=
[ "${1-}" != --check ] || { check=yes; shift; }
version=${1-} build=${BUILD:-build}
LC_ALL=C
export LC_ALL

case $version in
*[!0-9.]* | .* | *. | *..* | *.*.*.*) version= ;;
*.*.*)	;;
*)	version= ;;
esac
[ -n "$version" ] || {
	echo "error: which version? make release VERSION=x.y.z" >&2
	exit 2
}
major=${version%%.*}
minor=${version#*.}
minor=${minor%.*}
patch=${version##*.}

wrong=0
bad() {	# bad PLACE: WHAT TO DO
	echo "$*" >&2
	wrong=$((wrong + 1))
}
value() {	# value FILE SED-SCRIPT: what the first line that fits says
	sed -n "$2" "$1" | head -n 1
}
is() {	# is PLACE FOUND WANTED HOW
	[ "$2" = "$3" ] || bad "$1: has '$2', not '$3': $4"
}

# --- the tree
dirty=$(git status --porcelain 2>&1) || bad "git: no clone here: $dirty"
[ -z "$dirty" ] ||
    bad "the tree: commit, ignore or remove: $(echo "$dirty" | tr '\n' ' ')"
tagged=$(git rev-parse -q --verify "refs/tags/$version^{commit}")
[ -z "$tagged" ] || [ "$tagged" = "$(git rev-parse HEAD)" ] ||
    bad "git: the tag $version is on another commit: choose another version"

# --- the version
is Makefile "$(value Makefile 's/^VERSION[ 	]*= *//p')" "$version" \
    "set VERSION"
soversion=$(value Makefile 's/^SOVERSION *= *//p')
is Makefile "$soversion" "$major" \
    "set SOVERSION, and rename the package libgraceclose$soversion"
header=include/graceclose.h
for part in MAJOR:$major MINOR:$minor PATCH:$patch; do
	is $header "$(value $header \
	    "s/^#define GRACECLOSE_VERSION_${part%:*}[ 	]*//p")" \
	    "${part#*:}" "set GRACECLOSE_VERSION_${part%:*}"
done
is $header "$(value $header \
    's/.*graceclose_version(void);.*"\(.*\)".*/\1/p')" "$version" \
    "set the comment of graceclose_version"
pc=pkgconfig/libgraceclose.pc.in
is $pc "$(value $pc 's/^Version: *//p')" @version@ "make install fills it in"

# --- CHANGES and the pages
first=$(head -n 1 CHANGES)
day=$(echo "$first" | sed -n 's/^[^ ]* (\(....-..-..\))$/\1/p')
day_in_words=$(date -d "${day:-none}" '+%B %-d, %Y' 2>/dev/null) || day=
is CHANGES "${first%% *}" "$version" "begin with: $version (YYYY-MM-DD)"
[ -n "$day" ] ||
    bad "CHANGES: '$first' has no date: begin with: $version (YYYY-MM-DD)"
pages=$(find man -type f -name '*.[0-9]' | sort)
# shellcheck disable=SC2086 # names without spaces
for page in $(grep -Lx ".Os \"libgraceclose $version\"" $pages); do
	bad "$page: set .Os to \"libgraceclose $version\""
done
# shellcheck disable=SC2086
for page in $([ -z "$day" ] || grep -Lx ".Dd $day_in_words" $pages); do
	bad "$page: set .Dd to $day_in_words, the date in CHANGES"
done

# --- debian/
log=debian/changelog
is $log "$(value $log 's/^[^ ]* (\(.*\)-[^-]*) .*/\1/p')" "$version" \
    "add an entry for $version-0upstream1"
symbols=debian/libgraceclose$soversion.symbols
nodes() {	# symbol@node of the map, and the nodes themselves
	test/install/map_nodes.sh |
	    awk '{ print $2 "@" $1; print $1 "@" $1 }' | sort -u
}
if [ -e "$symbols" ]; then
	is "$symbols" "$(value "$symbols" 's/^\(lib[^ ]*\) .*/\1/p')" \
	    "libgraceclose.so.$soversion" "set the soname"
	tmp=$(mktemp -d) || exit 1
	trap 'rm -rf "$tmp"' EXIT
	nodes >"$tmp/map"
	sed -n 's/^ \([^ ]*\) .*/\1/p' "$symbols" | sort >"$tmp/symbols"
	for s in $(comm -23 "$tmp/map" "$tmp/symbols"); do
		bad "$symbols: add ' $s $version'"
	done
	for s in $(comm -13 "$tmp/map" "$tmp/symbols"); do
		bad "$symbols: $s is not in lib/libgraceclose.map"
	done
	newest=$(sed -n 's/^ [^ ]* //p' "$symbols" | sort -V | tail -n 1)
	[ "$(printf '%s\n%s\n' "$newest" "$version" | sort -V |
	    tail -n 1)" = "$version" ] ||
	    bad "$symbols: has a symbol of $newest, which is to come"
else
	bad "$symbols: is missing"
fi
grep -qx "Package: libgraceclose$soversion" debian/control ||
    bad "debian/control: has no package libgraceclose$soversion"
[ ! -d test/abi ] || [ -s "test/abi/$version.abi" ] ||
    bad "test/abi/$version.abi: is missing: make abi-dump"

[ "$wrong" -eq 0 ] || {
	echo "error: no release of $version: mend these $wrong, and commit" >&2
	exit 1
}
[ -z "$check" ] || exit 0

# --- what is released
out=$build/release/$version
"${MAKE:-make}" -s BUILD="$build" deb || exit 1
rm -rf "$out"
mkdir -p "$out" &&
    cp "$build/libgraceclose-$version.tar.gz" "$build/deb"/libgraceclose_* \
	"$build/deb"/*.deb "$out/" || exit 1
pc=$(dpkg-deb --fsys-tarfile "$out"/libgraceclose-dev_*.deb |
    tar -xO --wildcards '*/libgraceclose.pc' | sed -n 's/^Version: //p')
[ "$pc" = "$version" ] || {
	echo "error: the installed .pc file has version $pc" >&2
	exit 1
}
(cd "$out" && sha256sum -- *) >"$build/SHA256SUMS" &&
    mv "$build/SHA256SUMS" "$out/" || exit 1
ls "$out"/*
echo "Next: git tag $version"
