#!/bin/bash
# plant.sh [NAME...] - whether the fuzzer of the close finds planted mistakes
#
# Each row of the table below is a mistake in a copy of lib/: its name, a file,
# and what sed(1) does to it.  The fuzzer must find it by its corpus or by
# fuzzing for LIMIT [120] seconds.  Names choose rows.  All rows take some ten
# minutes.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${FUZZ:?is the compiler and its options: run make plant}" "${LIMIT:=120}"
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
missed=0

# plant FILE SCRIPT: the result
plant() {
	local began=$SECONDS
	rm -rf "${dir:?}"/*
	mkdir "$dir/corpus" && cp -r lib "$dir" || exit 1
	sed -i "$2" "$dir/lib/$1"
	if cmp -s "lib/$1" "$dir/lib/$1"; then
		result='NOT PLANTED: the code is another'
		return 1
	fi
	# shellcheck disable=SC2086 # the copy is looked for before lib/
	${FUZZ/ / -I$dir/lib -I$dir } -w -o "$dir/fuzz" \
	    test/fuzz/fuzz_closer.c test/fuzz/judge.c test/fuzz/kernel*.c ||
	    exit 1
	"$dir/fuzz" -max_total_time="$LIMIT" -timeout=5 -max_len=400 \
	    -artifact_prefix="$dir/" "$dir/corpus" test/fuzz/corpus_closer \
	    >"$dir/log" 2>&1 </dev/null
	result=$(sed -n 's/^not so, test\/fuzz\///p' "$dir/log")
	grep -q 'ERROR: libFuzzer: timeout' "$dir/log" && result='a timeout'
	if [ -z "$result" ]; then
		result='NOT FOUND'
		return 1
	fi
	if grep -q INITED "$dir/log"; then
		result="fuzzing, $((SECONDS - began)) s: $result"
	else
		result="corpus: $result"
	fi
}

while IFS='	' read -r name file script; do
	[ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
	plant "$file" "$script" || missed=$((missed + 1))
	printf '%-30s %s\n' "$name" "$result"
done <<'EOF'
no_delivery_check	verdict.c	s/return gc->delivered \&\&/return/
unacked_not_asked_again	verdict.c	s/^	if (!gc->delivered \&\& (outcome != .*/	if (false \&\& (outcome != GRACECLOSE_WAS_RESET ||/
eof_by_shut_rd	closer.c	s/else if (graceclose_tcp_finished(gc->fd, gc->kind))/else if (n == 0)/
reset_is_an_end	verdict.c	s/graceclose_tcp_state_of_gone(gc->fd, gc->kind, error != 0,/graceclose_tcp_state_of_gone(gc->fd, gc->kind, false,/
no_sweep	closer.c	s/^		(void)graceclose_sweep(gc);/		(void)gc;/
linger_left	closer.c	s/^	graceclose_tcp_unlinger(gc->fd);//
cap_passed	verdict.c	s/gc->discarded > gc->discard_max/gc->discarded > gc->discard_max + 1/
fin_without_waiting	closer.c	s/if (graceclose_tcp_withholds(fd, gc->kind))/if (false)/
fin_after_one_look	closer.c	s/^#define SETTLED		4/#define SETTLED		1/
looks_in_a_row	closer.c	/SETTLED_MS)) {/{n;d}
no_push	closer.c	s/pushed = graceclose_tcp_push(gc->fd)/pushed = 1/
push_in_vain	closer.c	s/graceclose_refused(gc, EPIPE);/gc->looks = 1;/
own_fin_settles_nothing	closer.c	s/if (graceclose_tcp_withholds(fd, gc->kind))/if (!graceclose_tcp_fin_unacked(fd, gc->kind) \&\& graceclose_tcp_withholds(fd, gc->kind))/
own_fin_is_a_byte	verdict.c	s/^	if (outq > 0 \&\& (gc->flags & HALF_CLOSED) != 0)/	if (false)/
epipe_unseen	verdict.c	s/gc->kind != GRACECLOSE_KIND_LAYERED \&\&/true \&\&/
epipe_buried	verdict.c	s/^	if (torn(gc, error)) {/	if (false) {/
sweep_eats_epipe	verdict.c	s/(errno == ECONNRESET || torn(gc, errno))/errno == ECONNRESET/
gone_before_it_settled	closer.c	s/((gc->flags & WITHHELD) == 0 ||/(true ||/
fin_hides_the_layers_input	closer.c	s/finished \&\& gc->kind != GRACECLOSE_KIND_LAYERED/finished/
trunc_on_ktls	kernel/linux_input.c	s/if (kind != GRACECLOSE_KIND_LOCAL \&\& kind != GRACECLOSE_KIND_LAYERED)/if (kind != GRACECLOSE_KIND_LOCAL)/
no_room_for_control	kernel/linux_input.c	s/msg.msg_controllen = sizeof(control);/msg.msg_controllen = 0;/
alerts_are_data	kernel/linux_input.c	s/\*data = is_data(&msg);/(void)is_data(\&msg);/
efault_without_buffer	kernel/linux_input.c	s/if (n != -1 || errno != EFAULT)/if (true)/
rst_before_our_fin	verdict.c	s/^	    (HALF_CLOSED | COUNTED) \&\&/	    (gc->flags \& (HALF_CLOSED | COUNTED | WITHHELD)) \&\&/; s/if (error == ECONNRESET \&\& gc->outcome/if ((error == ECONNRESET || error == EPIPE) \&\& gc->outcome/
rst_with_data_unacked	verdict.c	s/return gc->finished \&\& gc->unacked == 0 \&\&/return gc->finished \&\&/
rst_before_the_peers_fin	verdict.c	s/return gc->finished \&\& gc->unacked == 0 \&\&/return gc->unacked == 0 \&\&/
rst_where_the_fin_waits	verdict.c	s/graceclose_tcp_fin_left(gc->fd, gc->kind);/true;/
given_up_is_an_answer	verdict.c	s/if (error == ECONNRESET \&\& gc->outcome/if (gc->outcome/
answer_is_a_reset	verdict.c	s/if (error == ECONNRESET \&\& gc->outcome/if (false \&\& gc->outcome/
refused_is_success	closer.c	s/if (shutdown(gc->fd, SHUT_WR) == 0)/if (shutdown(gc->fd, SHUT_WR) == 0 || errno == EACCES)/
refused_is_a_reset	closer.c	s/else if (errno == ENOTCONN)/else if (errno != 0)/
refused_is_reset_by_us	closer.c	s/if (cut \&\& gc->on_expiry == GRACECLOSE_RESET)/if (gc->error == EACCES)/
failed_recv_spins	closer.c	s/^	    (gc->flags & (DEAF | MISSED)) != 0)/	    (gc->flags \& DEAF) != 0)/
late_twice	input.c	s/^		gc->late(.*/&\n		if (n == 2)\n	&/
late_not_in_the_sweep	verdict.c	s/n = graceclose_input(gc, STEP_MAX);/n = graceclose_tcp_discard(gc->fd, gc->kind, STEP_MAX);/
quiet_before_delivery	closer.c	s/gc->until == GRACECLOSE_QUIET \&\& gc->delivered/gc->until == GRACECLOSE_QUIET/
quiet_times_out	closer.c	s/gc->until == GRACECLOSE_QUIET \&\& gc->delivered/false/
quiet_for_the_whole_limit	closer.c	s/quiet <= earlier(NEVER, gc->started, gc->timeout_ms))/quiet != 0)/
edges_nap	closer.c	s/else if ((gc->options & GRACECLOSE_EDGES) != 0 \&\&/else if (false \&\&/
edges_sleep_though_recv_failed	closer.c	s/(gc->flags & (WITHHELD | MISSED)) == 0)/(gc->flags \& WITHHELD) == 0)/
local_is_delivered_at_once	kernel/linux_queue.c	s/^	int n = 0;/	if (kind == GRACECLOSE_KIND_LOCAL)\n		return 0;\n&/
local_error_unseen	verdict.c	s/gc->kind != GRACECLOSE_KIND_LOCAL)$/true)/
fallback_fin_unseen	kernel/linux.c	s/if (anew \&\& (!seen ||/if (anew \&\& (true ||/
fallback_made_native	kernel/linux.c	s/return graceclose_mptcp_token(fd) == -1 ?/return true ?/
no_cause	verdict.c	s/^		gc->cause = error;/		(void)error;/
EOF
echo "$missed not found"
[ $missed -eq 0 ]
