#!/bin/sh
# coverage.sh BUILD - what of lib/ the suites have run, as gcov counted it
#
# Prints a line for each file, then each line that never ran and each that has
# a branch never taken, with the reason that coverage.txt gives for it.  Fails
# below 98 % of the lines or 95 % of the branches, or where a line that never
# ran has no reason.
set -eu
LINES=98 BRANCHES=95

[ $# = 1 ] || { echo "usage: $0 BUILD (make coverage runs it)" >&2; exit 2; }
command -v gcovr >/dev/null || {
	echo 'error: gcovr is missing: apt-get install gcovr' >&2
	exit 1
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

report() {	# report [--branches]
	gcovr -r . -f lib/ "$@" "$build"
}

# From gcovr's table: "file line" for each of the missing ones.
missing() {
	awk '/^lib\// && NF > 4 {
		n = split($5, part, ",")
		for (i = 1; i <= n; i++) {
			m = split(part[i], range, "-")
			for (l = range[1]; l <= range[m]; l++)
				print $1, l
		}
	}'
}

# Each missing one with its source and its reason, or "???".
explain() {	# explain WHAT
	while read -r file line; do
		text=$(sed -n "${line}s/^[[:space:]]*//p" "$file")
		why=$(awk -F ' *\t+' -v file="$file" -v text="$text" '
		    $1 == file && index(text, $2) { print $3; exit }' \
		    test/coverage.txt)
		echo "$file:$line: $1: $text"
		echo "	${why:-???}"
	done
}

build=$1
report >"$tmp/lines"
report --branches >"$tmp/branches"
missing <"$tmp/lines" | explain 'never ran' >"$tmp/unrun"
missing <"$tmp/branches" | explain 'one way only' >"$tmp/untaken"
sed -n '/^File/,$p' "$tmp/lines"
sed -n '/^File/,$p' "$tmp/branches"
cat "$tmp/unrun" "$tmp/untaken"
gcovr -r . -f lib/ -s --fail-under-line $LINES --fail-under-branch $BRANCHES \
    "$build" | sed -n '/^[lb].*: /p' >"$tmp/sum" || status=$?
cat "$tmp/sum"
if grep -q '^	???' "$tmp/unrun"; then
	echo 'error: a line that never ran has no reason in test/coverage.txt' >&2
	status=1
fi
exit "${status:-0}"
