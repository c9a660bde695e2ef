#!/bin/sh
# run.sh TEST... - run suites and scripts, and say how many tests there were
#
# RUN in the environment is put before each, such as valgrind with its options.
# A suite is counted by libcheck's own summary, a script as one test.  A script
# that exits with 77 was skipped, and has said why.
passed=0 failed=0 skipped=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

number() {	# number NAME: what stands behind "NAME: " in the log
	sed -n "s/.*$1: \([0-9]*\).*/\1/p" "$log" | tail -n 1
}

for t; do
	${RUN-} "$t" >"$log" 2>&1 </dev/null
	status=$?
	cat "$log"
	checks=$(number Checks)
	skips=$(number Skipped)
	if [ -n "$checks" ]; then
		bad=$(($(number Failures) + $(number Errors)))
		[ $status -eq 0 ] || [ $bad -gt 0 ] || bad=1
		passed=$((passed + checks - bad - ${skips:-0}))
		failed=$((failed + bad))
		skipped=$((skipped + ${skips:-0}))
	elif [ $status -eq 77 ]; then
		skipped=$((skipped + 1))
	elif [ $status -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok ${t##*/}"
	else
		failed=$((failed + 1))
		echo "FAILED ${t##*/} (status $status)"
	fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
