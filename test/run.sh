#!/bin/sh
# run.sh TEST... - run suites and scripts, and say how many tests there were
#
# JOBS in the environment is how many run at once (most of their time they
# wait); RUN is put before each, such as valgrind with its options.  A suite is
# counted by libcheck's own summary, a script as one test.  A script that exits
# with 77 was skipped, and has said why.
#
# A test that failed while the machine kept it from running has shown nothing
# (support/starved.h): it runs again after all the others, alone, with a higher
# priority where that is allowed, and with more time.  It has REPEATS tries,
# and fails at once where it was not starved.  A suite writes the tests that
# were into the file CHECK_STARVED.  A script has no measure of its own: it was
# starved where threads of the machine waited for a processor for half of its
# time.
REPEATS=3
passed=0 failed=0 skipped=0 repeats=0 bad_ones="" repeated=""

measure() {	# the time, and how long any thread has waited, in us
	read -r up _ </proc/uptime
	now=${up%.*}${up#*.}0000
	waited=$(sed -n 's/^some .*total=//p' /proc/pressure/cpu 2>/dev/null)
	waited=${waited:-0}
}

run_test() {	# run_test TEST: its status, $log, and $log.starved
	rm -f "$log.starved"
	measure
	began=$now waited_before=$waited
	CHECK_STARVED=$log.starved ${RUN-} "$1" >"$log" 2>&1 </dev/null
	status=$?
	cat "$log"
	case $1:$status in
	*.sh:0 | *.sh:77) ;;
	*.sh:*)
		measure
		[ $(((waited - waited_before) * 2)) -le $((now - began)) ] ||
		    echo script >"$log.starved"
		;;
	esac
}

# --one LOGS TEST: what xargs calls.
if [ "$1" = --one ]; then
	log=$2/${3##*/}
	run_test "$3"
	echo "$status" >"$log.status"
	exit 0
fi

logs=$(mktemp -d) || exit 1
trap 'rm -rf "$logs"' EXIT
trap 'exit 1' HUP INT TERM

number() {	# number NAME: what stands behind "NAME: " in the log
	sed -n "s/.*$1: \([0-9]*\).*/\1/p" "$log" | tail -n 1
}

read_log() {	# what the log and the exit status say: checks, bad, skips
	checks=$(number Checks)
	skips=$(number Skipped)
	bad=0
	[ -n "$checks" ] && bad=$(($(number Failures) + $(number Errors)))
	[ "$status" = 0 ] || [ $bad -gt 0 ] || bad=1
}

# What a sanitizer or valgrind reports no busy machine excuses.  Only behind a
# starved test, in one process for all, may it come from what that test left.
reported() {
	sed '/STARVED [a-z_0-9]*:[0-9]/q' "$log" | grep -q -e '^==[0-9]*==' \
	    -e 'WARNING: ThreadSanitizer' -e ': runtime error: '
}

again() {	# again TEST [NAME:INDEX]: 0 where it passes in the end
	patience=1
	while [ $patience -lt $((1 << REPEATS)) ]; do
		patience=$((patience * 2))
		repeats=$((repeats + 1))
		echo "again: ${1##*/} ${2-} (patience $patience)"
		CHECK_ONLY=${2-} \
		    CHECK_PATIENCE=$((patience * ${CHECK_PATIENCE:-1})) \
		    RUN="nice -n -10 ${RUN-}" run_test "$1"
		read_log
		# A suite that ran none of its tests has no success.
		[ $status = 0 ] && [ "${checks:-1}" -gt 0 ] && return 0
		[ -s "$log.starved" ] || return 1
		! reported || return 1
	done
	return 1
}

# Where the suite has no summary, or a sanitizer or valgrind has found
# something, that may come from the test that was left in the middle.
repeat_starved() {	# of the suite or script $t
	if [ -z "$checks" ] || [ "$status" -gt 1 ]; then
		repeated="$repeated ${t##*/}"
		again "$t"
		return
	fi
	sure=$checks lost=$bad skips_sure=${skips:-0}
	for test in $(sort -u "$log.starved"); do
		repeated="$repeated ${t##*/}:$test"
		again "$t" "$test" && lost=$((lost - 1))
	done
	checks=$sure skips=$skips_sure
	bad=$((lost > 0 ? lost : 0))
	status=$((bad > 0))
}

# What takes the whole machine runs alone, after the others.
alone() { printf '%s\n' "$@" | grep '/check_flood\.sh$'; }
together() { printf '%s\n' "$@" | grep -v '/check_flood\.sh$'; }
together "$@" | xargs -P "${JOBS:-1}" -I '{}' "$0" --one "$logs" '{}'
alone "$@" | xargs -I '{}' "$0" --one "$logs" '{}'
for t; do
	log=$logs/${t##*/}
	status=$(cat "$log.status")
	read_log
	[ $bad = 0 ] || [ "$status" = 77 ] || [ ! -s "$log.starved" ] ||
	    reported || repeat_starved
	if [ -n "$checks" ]; then
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
echo "starved of processor time, and run again: $repeats times$repeated"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
