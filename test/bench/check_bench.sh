#!/bin/sh
# check_bench.sh - bench, bench_scale and the scripts answer --help with the
# usage, and a wrong argument with one line and exit status 2; each work of bench
# runs, in a small form
#
# BUILD is where `make benches' put the programs.  python3, where it is there,
# reads the JSON file.
build=${BUILD:-build}/bench
bench=$build/bench
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
status=0
bad() { echo "check_bench: $*"; status=1; }

usage() {	# usage PROGRAM: --help
	[ -x "$build/$1" ] || { bad "$1 is not built: make benches"; exit 1; }
	"$build/$1" --help >"$dir/out" 2>"$dir/err" </dev/null ||
	    bad "$1 --help: exit status $?"
	grep -q "^usage: $1 " "$dir/out" || bad "$1 --help shows no usage"
	[ -s "$dir/err" ] && bad "$1 --help writes to standard error"
}

refuse() {	# refuse PROGRAM ARGUMENT...: each has words of its own
	program=$1; shift
	for args; do
		# shellcheck disable=SC2086 # the words are meant to be split
		"$build/$program" $args >"$dir/out" 2>"$dir/err" </dev/null
		[ $? -eq 2 ] || bad "$program $args does not exit with 2"
		[ "$(wc -l <"$dir/err")" -eq 1 ] ||
		    bad "$program $args: not one line"
		[ -s "$dir/out" ] &&
		    bad "$program $args writes to standard output"
	done
}

# scripts that start servers of others
for script in servers retrofit; do
	bench/$script.sh --help 2>&1 | grep -q "^usage: $script.sh " ||
	    bad "$script.sh --help shows no usage"
	bench/$script.sh none >"$dir/out" 2>"$dir/err" </dev/null
	[ $? -eq 2 ] || bad "$script.sh none does not exit with 2"
	[ "$(wc -l <"$dir/err")" -eq 1 ] || bad "$script.sh none: not one line"
done

usage bench_scale
refuse bench_scale --no-such-option 0 201 some '1 2'
usage bench
works=$(sed -n 's/^ \{17\}\([a-z]*\) .*/\1/p' "$dir/out")
refuse bench --no-such-option '--rounds 0' '--rounds 100' '--rounds some' \
    '--rounds' '--work none' some

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
