#!/bin/sh
# run.sh - check the models with spin, and that they still mirror the library
#
# usage: [BUILD=dir] test/model/run.sh [NAME...]
#
# Each line of the tables below is one exhaustive search.  What is `sure' must
# hold in every interleaving; what is `caught' is a mistake that spin must find,
# or the model would prove nothing.  Names choose lines; without them all are
# searched, and each piece of code that README quotes is looked for in lib/.
# Needs spin, a C compiler, and a GiB of memory.

here=$(cd "$(dirname "$0")" && pwd) || exit 1
lib=$here/../../lib
build=${BUILD:-build}/model
build=$(mkdir -p "$build" && cd "$build" && pwd) || exit 1
failed=0

command -v spin >/dev/null || {
	echo "SKIP model: spin is not installed (apt-get install spin)"
	exit 77
}

# search NAME MODEL KIND FLAGS...: what the searcher says is in NAME/log.  safe
# asks for assertions, and no end but the right ones; live whether a close
# always ends, where each process gets its turn (weak fairness).
search() {
	dir=$build/$1 source=$here/$2.pml kind=$3
	shift 3
	rm -rf "$dir" && mkdir -p "$dir" && cd "$dir" || exit 1
	case $kind in
	safe)	how='-DSAFETY -DNOCLAIM' run= ;;
	live)	how=-DNFAIR=3 run='-a -f' ;;
	esac
	spin -a "$@" "$source" >log 2>&1 &&
	    ${CC:-cc} $optimize -w $how -DNOREDUCE -DCOLLAPSE -DMEMLIM=2000 \
	    -o pan pan.c >>log 2>&1 || { cat log >&2; exit 1; }
	./pan -m200000 $run >log 2>&1
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' log)
	errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' log)
	grep -q 'Search not completed\|max search depth' log &&
		[ "$errors" = 0 ] && errors=incomplete
	why=$(sed -n 's/^pan:1: \([a-z]* [a-z]*\( state\)*\).*/\1/p' log)
}

# line EXPECTED NAME MODEL KIND FLAGS... -- WHAT
line() {
	expected=$1 name=$2 model=$3 kind=$4
	case "$chosen" in ''|*" $name "*) ;; *) return ;; esac
	shift 4
	# Most of the time of a short search is the compiler's.
	[ "$name" = close ] && optimize=-O2 || optimize=-O1
	flags=
	while [ "$1" != -- ]; do
		flags="$flags $1"
		shift
	done
	search "$name" "$model" "$kind" $flags
	case $expected-$errors in
	sure-0)		verdict=ok ;;
	caught-[1-9]*)	verdict="caught: $why" ;;
	*)		verdict=FAILED failed=$((failed + 1)) ;;
	esac
	printf '%-18s %10s states  %s  (%s)\n' "$name" "${states:-?}" \
	    "$verdict" "$2"
	[ "$verdict" = FAILED ] && [ "$expected" = sure ] &&
		echo "  cd $build/$name && spin -t -p -g -k $model.pml.trail" \
		    "$flags $here/$model.pml"
	return 0
}

# Every function and every piece of code that README names is there.
quotes() {
	missing=0 n=0
	while IFS='	' read -r file function code; do
		n=$((n + 1))
		find "$lib" -name "$file" -exec \
		    sed -n "/^$function(/,/^}/p" '{}' + |
		    grep -qF -- "$code" && continue
		echo "  $file: $function() has no: $code"
		missing=$((missing + 1))
	done <<-EOF
	$(sed -n 's/\\|/|/g
	    s/^|[^|]*| \([a-z_]*\.c\): \([a-z_]*\) | `\(.*\)` |$/\1	\2	\3/p' \
	    "$here/README")
	EOF
	[ $n -gt 0 ] && [ $missing -eq 0 ] && verdict=ok ||
		verdict=FAILED failed=$((failed + 1))
	printf '%-18s %10s quotes  %s  (%s)\n' code "$n" "$verdict" \
	    'README quotes the library as it is'
}

chosen=${*:+" $* "}
[ -n "$chosen" ] || quotes

line sure close close safe -- \
    'a loss, RSTs, half-close, expiry: the verdict is true'
line sure shut_rd close safe -DSHUT_RD -DLOSSES=0 -- \
    'after our own SHUT_RD'
line sure two_bytes close safe -DN=2 -DROOM=2 -DM=0 -DLOSSES=0 -- \
    'more bytes, more segments under way'
line sure holder close safe -DHOLDER -DNO_LIMIT -DM=0 -DLOSSES=0 -- \
    'another holder reads, takes the error, resets'
line sure refused close safe -DREFUSED -DLOSSES=0 -- \
    'where shutdown(2) is refused'
line sure layer close safe -DLAYER -DLOSSES=0 -- \
    'a byte waits above TCP, in kTLS'
line sure layer_losses close safe -DLAYER -DM=0 -DN=2 -- \
    'the same with two bytes, where a segment is lost'
line sure ends_layer close live -DLAYER -DNO_LIMIT -DEDGES -DM=0 -DLOSSES=0 \
    -- 'with no limit it ends when the peer does: bytes above TCP'
line sure ends_poll close live -DNO_LIMIT -DM=0 -DLOSSES=0 -- \
    'with no limit it ends when the peer does: poll and naps'
line sure ends_epoll close live -DNO_LIMIT -DEDGES -DM=0 -DLOSSES=0 -- \
    'the same by the edges of epoll'
line sure ends_loss close live -DNO_LIMIT -DEDGES -DM=0 -DN=0 -- \
    'the same where a segment is lost'
line sure ends_storm close live -DSTORM -DM=0 -DN=0 -DLOSSES=0 -- \
    'with a limit it ends, whatever the peer does and signals come'

line caught no_delivery close safe -DNO_DELIVERY_CHECK -DLOSSES=0 -- \
    'EOF is taken for delivery'
line caught no_finish close safe -DNO_FINISH_CHECK -DLOSSES=0 -- \
    'delivery is taken for the end'
line caught eof_by_shut_rd close safe -DEOF_BY_SHUT_RD -DSHUT_RD -DLOSSES=0 -- \
    'our own SHUT_RD is taken for the FIN'
line caught no_last_look close safe -DNO_LAST_LOOK -DLOSSES=0 -- \
    'a failure reports an old count'
line caught keeps_count close safe -DKEEPS_COUNT -DHOLDER -DNO_LIMIT -DM=0 \
    -DLOSSES=0 -- 'a count is taken after connect(AF_UNSPEC) of another holder'
line caught linger_left close safe -DLINGER_LEFT -DLOSSES=0 -- \
    'an SO_LINGER of earlier code resets'
line caught no_sweep close safe -DNO_SWEEP -DLOSSES=0 -- \
    'close(2) with unread input resets'
line caught double_close close safe -DDOUBLE_CLOSE -DLOSSES=0 -- \
    'close(2) is tried again after EINTR'
line caught no_naps close live -DNO_NAPS -DNO_LIMIT -DM=0 -DLOSSES=0 -- \
    'poll alone waits for an acknowledgement'
line caught deadline close live -DDEADLINE_RESTARTS -DSTORM -DM=0 -DN=0 \
    -DLOSSES=0 -- 'every wake-up starts the limit anew'

line caught rst_before_fin close safe -DRST_BEFORE_FIN -DLOSSES=0 -- \
    'a RST that came before our FIN is taken for an answer to it'
line caught rst_with_data close safe -DRST_WITH_DATA -DLOSSES=0 -- \
    'so is one that came before our data was acknowledged'
line caught rst_fin_waits close safe -DRST_FIN_WAITS -DLOSSES=0 -- \
    'so is one that came before our FIN had left'
line caught rst_no_peer_fin close safe -DRST_NO_PEER_FIN -DLOSSES=0 -- \
    'so is one that came before the FIN of the peer'
line caught gave_up close safe -DGAVE_UP -DM=0 -- \
    'the kernel gave up, and that is taken for an answer'
line caught refused_is_ok close safe -DREFUSED -DREFUSED_IS_OK -DLOSSES=0 -- \
    'a refused shutdown(2) is taken for a FIN'
line caught fin_at_once close safe -DLAYER -DFIN_AT_ONCE -DLOSSES=0 -- \
    'the FIN cuts off what kTLS holds'
line caught looks_in_a_row close safe -DLAYER -DLOOKS_IN_A_ROW -DLOSSES=0 -- \
    'the layer has no time between two looks'

line sure reaper reaper safe -DCALLERS=2 -- \
    'from thread to thread: closed once, reported once'
line caught evict_busy reaper safe -DEVICT_BUSY -DCALLERS=2 -- \
    'a caller cuts the close that the thread is at'
line caught free_at_evict reaper safe -DFREE_AT_EVICT -DCALLERS=2 -- \
    'a caller frees what an event still points to'
line caught add_unlocked reaper safe -DADD_UNLOCKED -DCALLERS=2 -- \
    'an event ends a close that is not queued yet'
line caught no_rouse reaper safe -DNO_ROUSE -DCALLERS=2 -- \
    'no thread reports what a caller has cut'
line caught no_inside reaper safe -DNO_INSIDE -DCALLERS=2 -- \
    'free does not wait for who is inside'

[ $failed -eq 0 ]
