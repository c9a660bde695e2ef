#!/bin/sh
# The header, the map, the shared library, the pages and CHANGES name the same
# functions, and the static library defines no name that could meet a caller's.
build=${BUILD:-build}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

names='graceful_close|linger_close|abort_close|peer_closed|graceclose(_[a-z_]+)?'

# Declarations: a name in column one of a prototype, before its parenthesis.
sed 's|/\*.*\*/||' include/graceclose.h |
    grep -oE "^(int|short|int64_t)[[:space:]]+($names)\(" |
    sed 's/^[a-z0-9_]*[[:space:]]*//; s/($//' | sort >"$dir/header"
sed -n '/^global:/,/^local:/s/^[[:space:]]*\([a-z_]*\);$/\1/p' \
    lib/libgraceclose.map | sort >"$dir/map"
nm -D --defined-only "$build/libgraceclose.so" | awk '$2 == "T" {
	sub(/@.*/, "", $3); print $3 }' | sort >"$dir/nm -D"
ls man/*.3 | sed 's|man/||; s|\.3$||' | sort >"$dir/pages"
cat man/*.3 | sed -n 's/^\.Fn \([a-z_]*\).*/\1/p; s/^\.Fo \([a-z_]*\).*/\1/p' |
    grep -xE "$names" | sort -u >"$dir/SYNOPSIS"
grep -oE "\b($names)\b" CHANGES | sort -u >"$dir/CHANGES"

status=0
[ -s "$dir/header" ] || { echo "no declaration found in the header"; exit 1; }
for other in map 'nm -D' pages SYNOPSIS CHANGES; do
	diff "$dir/header" "$dir/$other" >"$dir/diff" && continue
	echo "the header (<) and $other (>) differ:"
	grep '^[<>]' "$dir/diff"
	status=1
done

nm -g --defined-only "$build/libgraceclose.a" | awk 'NF == 3 { print $3 }' |
    grep -vxE 'graceful_close|linger_close|abort_close|peer_closed' |
    grep -v '^graceclose' >"$dir/foreign" && {
	echo "names in the static library without the prefix:"
	cat "$dir/foreign"
	status=1
}
exit $status
