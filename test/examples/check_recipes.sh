#!/bin/sh
# Each recipe stands alone: at most 150 lines, no header of this project but
# <graceclose.h>, no warning, and its self-check passes.  check_servers.sh asks
# those that are servers.
cc=${CC:-cc}
build=${BUILD:-build}
recipes=$(dirname "$0")/../../examples/recipes
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
status=0
bad() { echo "check_recipes: $*"; status=1; }

warnings=$(sed -n 's/^WARNINGS[[:space:]]*= *//p' Makefile)
[ -n "$warnings" ] || bad 'the Makefile has no WARNINGS'
for source in "$recipes"/*.c; do
	name=$(basename "$source" .c)
	[ "$(wc -l <"$source")" -le 150 ] || bad "$name: more than 150 lines"
	grep '^#include "' "$source" && bad "$name: not alone"
	sed -n '1,/\*\//p' "$source" | grep -q "^ \* $name.c - recipe: " ||
	    bad "$name: its head does not say what it is for"
	grep -q "\`$name.c\`" "$recipes/README.md" ||
	    bad "$name: README.md does not name it"
	grep -q "^\.Pa $name.c :" man/graceclose_recipes.7 ||
	    bad "$name: graceclose_recipes(7) does not name it"
	[ -x "$build/examples/recipes/$name" ] || {
		echo "SKIP check_recipes: $name:" \
		    "$(sed -n 's/^ \* Needs //p' "$source")"
		continue
	}
	other=$(sed -n 's/^ \* Needs .*(pkg-config \(.*\))\.$/\1/p' "$source" |
	    xargs -r pkg-config --cflags | sed 's/-I/-isystem /g')
	# shellcheck disable=SC2086 # the words are meant to be split
	"$cc" -std=gnu11 -Iinclude $other $warnings -Werror \
	    -fsyntax-only "$source" || bad "$name: does not compile"
	grep -q '^ \* Usage: \(inetd \|.* \[port\]\)' "$source" && continue
	if [ "$name" = relay ] && grep -qs GRACECLOSE_PORTABLE "$build/flags"
	then	# it ends both sides before it closes them
		echo "SKIP check_recipes: plain POSIX does not show that" \
		    "$name has ended well"
		continue
	fi
	timeout 60 "$build/examples/recipes/$name" >"$dir/out" 2>&1 \
	    </dev/null || { bad "$name: exit status $?"; cat "$dir/out"; }
done
exit $status
