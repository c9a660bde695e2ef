# judge.sh - for the tests: README.md's lines as a program, and its verdicts
set -eu
: "${AUTOPKGTEST_TMP:=$(mktemp -d)}"
tests=$(cd "$(dirname "$0")" && pwd)

# The first C example of README.md goes to readme.h.
sed -n '/^```c$/,/^```$/ { /^```c$/d; /^```$/q; p }' "$tests/../../README.md" \
    >"$AUTOPKGTEST_TMP/readme.h"
grep -q graceful_close "$AUTOPKGTEST_TMP/readme.h" || {
	echo "README.md has no example of graceful_close" >&2
	exit 1
}
cp "$tests/sample.c" "$AUTOPKGTEST_TMP/"
cd "$AUTOPKGTEST_TMP"

# judge PROGRAM: says nothing where all was delivered, and what the reset did.
judge() {
	"$1" >got 2>log || { cat log; exit 1; }
	[ "$(cat got)" = 100000 ] || { echo "the peer got $(cat got)"; exit 1; }
	sed 's/^[^:]*: //' log >said
	printf '%s\n' delivered: reset: \
	    'the reply may be lost: Connection reset by peer' >want
	diff want said || { echo "another verdict (>) than expected"; exit 1; }
	echo "$1: the verdicts are right"
}
