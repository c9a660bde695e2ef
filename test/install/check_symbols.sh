#!/bin/sh
# The header, the map, the shared library, the pages and CHANGES name the same
# functions, a released node of the map is what it was, and the static library
# defines no name that could meet a caller's.
cc=${CC:-cc}
build=${BUILD:-build}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

names='graceful_close|linger_close|abort_close|peer_closed|graceclose(_[a-z_]+)?'
# Pages that are named after no function.
pages='graceclose_reaper|graceclose_faq|graceclose_recipes'

# What the released nodes hold, for ever; a new release adds its own.
cat >"$dir/released" <<'EOF'
GRACECLOSE_1.0 abort_close
GRACECLOSE_1.0 graceclose
GRACECLOSE_1.0 graceclose_begin
GRACECLOSE_1.0 graceclose_end
GRACECLOSE_1.0 graceclose_events
GRACECLOSE_1.0 graceclose_probe
GRACECLOSE_1.0 graceclose_probe_many
GRACECLOSE_1.0 graceclose_step
GRACECLOSE_1.0 graceclose_timeout
GRACECLOSE_1.0 graceclose_unacked
GRACECLOSE_1.0 graceful_close
GRACECLOSE_1.0 linger_close
GRACECLOSE_1.0 peer_closed
GRACECLOSE_1.1 graceclose_reaper_close
GRACECLOSE_1.1 graceclose_reaper_flush
GRACECLOSE_1.1 graceclose_reaper_free
GRACECLOSE_1.1 graceclose_reaper_new
GRACECLOSE_1.1 graceclose_reaper_stats
GRACECLOSE_1.2 graceclose_version
EOF

# One declaration a line, however it was wrapped: its name stands before the
# first parenthesis.
"$cc" -E -P -Iinclude include/graceclose.h | tr '\n\t' '  ' |
    tr ';{}' '\n\n\n' |
    sed -nE "s/^[^(]*[ *]($names) *\(.*/\1/p" | sort >"$dir/header"

test/install/map_nodes.sh >"$dir/nodes"
nm -D --defined-only "$build/libgraceclose.so" | awk '$2 == "T" {
	split($3, at, /@+/); print at[2], at[1] }' | sort >"$dir/nm -D"

# No sort -u here: a symbol in two nodes shows as a difference.
cut -d' ' -f2 "$dir/nodes" | sort >"$dir/map"
ls man/*.3 | sed 's|man/||; s|\.3$||' | grep -vxE "$pages" |
    sort >"$dir/pages"
cat man/*.3 | awk '$1 == ".Sh" { synopsis = $2 == "SYNOPSIS" }
    synopsis && ($1 == ".Fn" || $1 == ".Fo") { print $2 }' |
    sort -u >"$dir/SYNOPSIS"
grep -oE "\b($names)\b" CHANGES | grep -vxE "$pages" |
    sort -u >"$dir/CHANGES"

status=0
same() {	# same NAME OTHER: the two lists are equal
	diff "$dir/$1" "$dir/$2" >"$dir/diff" && return
	echo "$1 (<) and $2 (>) differ:"
	grep '^[<>]' "$dir/diff"
	status=1
}
[ -s "$dir/header" ] || { echo "no declaration found in the header"; exit 1; }
for other in map pages SYNOPSIS CHANGES; do
	same header "$other"
done
same nodes 'nm -D'
same released nodes

nm -g --defined-only "$build/libgraceclose.a" | awk 'NF == 3 { print $3 }' |
    grep -vxE 'graceful_close|linger_close|abort_close|peer_closed' |
    grep -v '^graceclose' >"$dir/foreign" && {
	echo "names in the static library without the prefix:"
	cat "$dir/foreign"
	status=1
}
exit $status
