#!/bin/sh
# check_bench.sh - the bench answers --help with its usage alone, and a wrong
# argument with one line and exit status 2; each work runs, in a small form
#
# BUILD is where `make benches' put the program.  python3, where it is there,
# reads the JSON file.
build=${BUILD:-build}
bench=$build/bench/bench
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
status=0
bad() { echo "check_bench: $*"; status=1; }

[ -x "$bench" ] || { bad "$bench is not built: make benches"; exit 1; }
"$bench" --help >"$dir/out" 2>"$dir/err" </dev/null ||
    bad "--help: exit status $?"
grep -q '^usage: bench' "$dir/out" || bad '--help shows no usage'
[ -s "$dir/err" ] && bad '--help writes to standard error'
works=$(sed -n 's/^ \{17\}\([a-z]*\) .*/\1/p' "$dir/out")

for args in --no-such-option '--rounds 0' '--rounds 100' '--rounds some' \
    '--rounds' '--work none' some; do
	# shellcheck disable=SC2086 # the words are meant to be split
	"$bench" $args >"$dir/out" 2>"$dir/err" </dev/null
	[ $? -eq 2 ] || bad "$args does not exit with 2"
	[ "$(wc -l <"$dir/err")" -eq 1 ] || bad "$args: not one line"
	[ -s "$dir/out" ] && bad "$args writes to standard output"
done

quick() {	# quick WORK: a row of figures for a form of ours, valid JSON
	"$bench" --quick --work "$1" --json "$dir/json" >"$dir/out" \
	    2>"$dir/err" </dev/null || bad "$1: exit status $?"
	if grep FAILED "$dir/out" || [ -s "$dir/err" ]; then
		cat "$dir/err"
		bad "$1: a measurement failed"
	fi
	grep -q '^  .* [0-9]' "$dir/out" || bad "$1 prints no figure"
	if command -v python3 >/dev/null; then
		python3 -m json.tool "$dir/json" >/dev/null ||
		    bad "$1: $dir/json is not JSON"
	fi
	grep -q "\"work\": \"$1\"" "$dir/json" ||
	    bad "$1: no figure in the JSON file"
}

[ -n "$works" ] || bad '--help names no work'
for work in $works; do
	quick "$work"
done
exit $status
