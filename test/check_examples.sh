#!/bin/sh
# Each example shows what it says it shows, and is polite: --help, bad
# arguments.  The examples check their own outcome and exit with 1 otherwise.
build=${BUILD:-build}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
status=0
bad() { echo "check_examples: $*"; status=1; }

for e in one_way_loss forced_reset early_reply; do
	program=$build/examples/$e
	"$program" --help >"$dir/out" 2>"$dir/err" </dev/null ||
	    bad "$e --help fails"
	grep -q "^usage: $e" "$dir/out" || bad "$e --help shows no usage"
	[ -s "$dir/err" ] && bad "$e --help writes to standard error"

	"$program" --no-such-option >"$dir/out" 2>"$dir/err" </dev/null
	[ $? -eq 2 ] || bad "$e --no-such-option does not exit with 2"
	"$program" surplus >"$dir/out" 2>"$dir/err" </dev/null
	[ $? -eq 2 ] || bad "$e surplus does not exit with 2"
	[ "$(wc -l <"$dir/err")" -eq 1 ] || bad "$e surplus: not one line"

	"$program" >"$dir/out" 2>&1 </dev/null || {
		bad "$e came out differently:"
		tail -n 5 "$dir/out"
	}
done
for args in 'one_way_loss --size 0' 'one_way_loss --idle never' \
    'forced_reset --after -1' 'early_reply --runs 0'; do
	# shellcheck disable=SC2086 # the words are meant to be split
	set -- $args
	program=$build/examples/$1
	shift
	"$program" "$@" >"$dir/out" 2>"$dir/err" </dev/null
	[ $? -eq 2 ] || bad "$args does not exit with 2"
	[ "$(wc -l <"$dir/err")" -eq 1 ] || bad "$args: not one line"
done
exit $status
