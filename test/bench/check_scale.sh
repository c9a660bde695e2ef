#!/bin/sh
# check_scale.sh - bench_scale answers --help with its usage alone, and a wrong
# argument with one line and exit status 2
#
# usage: check_scale.sh; BUILD is where `make benches' put the program.
scale=${BUILD:-build}/bench/bench_scale
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
status=0
bad() { echo "check_scale: $*"; status=1; }

[ -x "$scale" ] || { bad "$scale is not built: make benches"; exit 1; }
"$scale" --help >"$dir/out" 2>"$dir/err" </dev/null ||
    bad "--help: exit status $?"
grep -q '^usage: bench_scale' "$dir/out" || bad '--help shows no usage'
[ -s "$dir/err" ] && bad '--help writes to standard error'

for args in --no-such-option 0 201 some '1 2'; do
	# shellcheck disable=SC2086 # the words are meant to be split
	"$scale" $args >"$dir/out" 2>"$dir/err" </dev/null
	[ $? -eq 2 ] || bad "$args does not exit with 2"
	[ "$(wc -l <"$dir/err")" -eq 1 ] || bad "$args: not one line"
	[ -s "$dir/out" ] && bad "$args writes to standard output"
done
exit $status
