#!/bin/sh
# run.sh TEST... - run suites and scripts, and say how many tests there were
#
# JOBS in the environment is how many run at once (most of their time they
# wait); RUN is put before each, such as valgrind with its options.  A suite is
# counted by libcheck's own summary, a script as one test.  A script that exits
# with 77 was skipped, and has said why.
passed=0 failed=0 skipped=0 bad_ones=

# --one LOGS TEST: what xargs calls.
if [ "$1" = --one ]; then
	log=$2/${3##*/}
	${RUN-} "$3" >"$log" 2>&1 </dev/null
	echo $? >"$log.status"
	cat "$log"
	exit 0
fi

logs=$(mktemp -d) || exit 1
trap 'rm -rf "$logs"' EXIT
trap 'exit 1' HUP INT TERM

number() {	# number NAME: what stands behind "NAME: " in the log
	sed -n "s/.*$1: \([0-9]*\).*/\1/p" "$log" | tail -n 1
}

printf '%s\n' "$@" | xargs -P "${JOBS:-1}" -I '{}' "$0" --one "$logs" '{}'
for t; do
	log=$logs/${t##*/}
	status=$(cat "$log.status")
	checks=$(number Checks)
	skips=$(number Skipped)
	if [ -n "$checks" ]; then
		bad=$(($(number Failures) + $(number Errors)))
		[ "$status" = 0 ] || [ $bad -gt 0 ] || bad=1
		passed=$((passed + checks - bad - ${skips:-0}))
		failed=$((failed + bad))
		skipped=$((skipped + ${skips:-0}))
	elif [ "$status" = 77 ]; then
		skipped=$((skipped + 1))
	elif [ "$status" = 0 ]; then
		passed=$((passed + 1))
		echo "ok ${t##*/}"
	else
		failed=$((failed + 1))
		echo "FAILED ${t##*/} (status ${status:-unknown})"
	fi
	[ "$status" = 0 ] || [ "$status" = 77 ] || bad_ones="$bad_ones ${t##*/}"
done
[ -z "$bad_ones" ] || echo "failed:$bad_ones"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
