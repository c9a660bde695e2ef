#!/bin/sh
# Each bench answers --help with its usage alone, and a wrong argument with one
# line and exit status 2.
build=${BUILD:-build}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
status=0
bad() { echo "check_bench: $*"; status=1; }

for program in "$build"/bench/bench_*; do
	[ -x "$program" ] || { bad 'no bench is built'; break; }
	name=${program##*/}
	"$program" --help >"$dir/out" 2>"$dir/err" </dev/null ||
	    bad "$name --help: exit status $?"
	grep -q "^usage: $name" "$dir/out" || bad "$name --help shows no usage"
	[ -s "$dir/err" ] && bad "$name --help writes to standard error"

	for args in --no-such-option 0 201 some '1 2'; do
		# shellcheck disable=SC2086 # the words are meant to be split
		"$program" $args >"$dir/out" 2>"$dir/err" </dev/null
		[ $? -eq 2 ] || bad "$name $args does not exit with 2"
		[ "$(wc -l <"$dir/err")" -eq 1 ] ||
		    bad "$name $args: not one line"
		[ -s "$dir/out" ] && bad "$name $args writes to standard output"
	done
done
exit $status
