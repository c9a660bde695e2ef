#!/bin/sh
# make release refuses a tree that is dirty, and one in which any place names
# another version; it says which.
command -v git >/dev/null || {
	echo "SKIP check_release: no git (apt-get install git)"
	exit 77
}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
die() { echo "check_release: $*"; exit 1; }

# A clone of its own, with the date and the dump that a release has.
mkdir "$dir/clone"
tar --exclude=.git --exclude='./build*' -cf - . | tar -C "$dir/clone" -xf - ||
    die "no copy of the tree"
cd "$dir/clone" || exit 1
version=$(sed -n 's/^VERSION[ 	]*= *//p' Makefile)
sed -i "1s/.*/$version (2026-01-31)/" CHANGES
sed -i "1s/(.*)/($version-0upstream1)/" debian/changelog
for page in man/*.[0-9]; do
	[ -h "$page" ] || sed -i 's/^\.Dd .*/.Dd January 31, 2026/' "$page"
done
[ ! -d test/abi ] || [ -s "test/abi/$version.abi" ] ||
    echo dump >"test/abi/$version.abi"
git_() { git -c user.name=t -c user.email=t@example.invalid "$@"; }
{ git_ init -q . && git_ add -A && git_ commit -qm all; } || die "no clone"

look() { test/package/release.sh --check "$@" >"$dir/said" 2>&1; }
look "$version" || { cat "$dir/said"; die "refuses a release that is right"; }

status=0
# refused WHAT PATTERN [VERSION]: the release is refused, and PATTERN is said.
refused() {
	look "${3-$version}" && {
		echo "released although $1"
		status=1
	}
	grep -q -e "$2" "$dir/said" || {
		echo "$1: no word of $2, but:"
		cat "$dir/said"
		status=1
	}
}
# plant FILE SED-SCRIPT PATTERN: a mistake, of which one look() is to say each.
plant() {
	cp "$1" "$dir/before"
	sed -i "$2" "$1"
	! cmp -s "$1" "$dir/before" || die "nothing changed in $1: $2"
	echo "$1: $3" >>"$dir/planted"
}
# found: what was planted is said, and each line is about something planted.
found() {
	git_ commit -qam planted
	refused "what differs was planted" '^error: no release'
	while read -r pattern; do
		grep -q -e "^$pattern" "$dir/said" || {
			echo "no word of $pattern, but:"
			cat "$dir/said"
			status=1
		}
	done <"$dir/planted"
	said=$(grep -vc '^error: ' "$dir/said")
	[ "$said" -eq "$(wc -l <"$dir/planted")" ] || {
		echo "$said words about $(wc -l <"$dir/planted") mistakes:"
		cat "$dir/said"
		status=1
	}
	rm "$dir/planted"
	git reset -q --hard HEAD~1
}
refused "no version" 'make release VERSION=' ''
refused "1.2 is none" 'make release VERSION=' 1.2
echo >>README.md
echo >new
refused "a file is not committed" '^the tree: .*README.md'
refused "a file is not known" '^the tree: .*new'
git reset -q --hard
rm new

header=include/graceclose.h
symbols=debian/libgraceclose1.symbols
plant Makefile 's/^\(VERSION.*= *\).*/\10.0.1/' ".*set VERSION"
plant CHANGES '1s/^[^ ]*/0.0.1/' "has '0.0.1'"
for part in MAJOR MINOR PATCH; do
	plant $header "s/^\(#define.*_$part\)[ 	].*/\1 99/" \
	    ".*set GRACECLOSE_VERSION_$part"
done
plant $header '/version(void)/s/".*"/"0.0.1"/' ".*comment"
plant pkgconfig/libgraceclose.pc.in 's/@version@/0.0.1/' "has '0.0.1'"
plant man/closewatch.8 's/^\.Os .*/.Os "libgraceclose 0.0.1"/' "set .Os"
plant man/graceclose.7 's/^\.Dd .*/.Dd January 30, 2026/' "set .Dd"
plant debian/changelog '1s/(.*)/(0.0.1-1)/' ".*add an entry"
plant $symbols '/^ peer_closed@/d' "add ' peer_closed@"
plant $symbols 's/^ linger_close@GRACECLOSE_1.0 .*/& \n any@X 1/' "any@X"
plant $symbols '/^ abort_close@/s/ [^ ]*$/ 99.0/' "has a symbol of 99.0"
found
plant CHANGES '1s/-31/-32/' ".*no date"
plant debian/control 's/^\(Package: libgraceclose\)1/\199/' "has no package"
plant $symbols '1s/so.1/so.2/' ".*set the soname"
found
sed -i 's/^\(SOVERSION.*= *\).*/\199/' Makefile
refused "the soname is another" '^Makefile: .*set SOVERSION'
git_ commit -qam next
git_ tag "$version" HEAD
git reset -q --hard HEAD~1
refused "the tag is elsewhere" "the tag $version is on another commit"
exit $status
