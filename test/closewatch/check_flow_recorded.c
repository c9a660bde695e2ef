/*
 * check_flow_recorded.c - what flow.h says of recorded connections (captures/,
 * which captures/record.c made)
 */
#include <stdio.h>
#include <string.h>

#ifdef HAVE_PCAP
#include <pcap/pcap.h>
#endif

#include "closewatch/flow_want.h"
#include "support/util.h"

static const struct recording {
	const char	*name;
	struct want	 want;
} recordings[] = {
	{ "four_way", {
	    "server closed first; four-way; nothing lost",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 1000, 3000 } } },
	{ "four_way_ipv6", {
	    "server closed first; four-way; nothing lost",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 1000, 3000 } } },
	{ "client_first", {
	    "client closed first; four-way; nothing lost",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, C, NOBODY, true,
	    { 0, 0 }, { 1000, 3000 } } },
	{ "three_segment", {
	    "server closed first; three-segment; nothing lost",
	    FLOW_THREE_SEGMENT, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 4000, 4000 } } },
	{ "simultaneous", {
	    "server closed first; simultaneous; nothing lost",
	    FLOW_SIMULTANEOUS, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 1000, 3000 } } },
	{ "half_close", {
	    "server closed first; client sent 2000 bytes more; four-way; "
	    "nothing lost",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 3000, 3000 } } },
	{ "retransmitted", {
	    "server closed first; three-segment; nothing lost",
	    FLOW_THREE_SEGMENT, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 2000, 3000 } } },
	{ "keep_alive", {
	    "client closed first; four-way; nothing lost",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, C, NOBODY, true,
	    { 0, 0 }, { 1000, 3000 } } },
	{ "zero_window", {
	    "server closed first; four-way; nothing lost",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 0, 262144 } } },
	{ "fast_open", {
	    "server closed first; four-way; nothing lost",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 1000, 0 } } },
	{ "same_ports", {
	    "server closed first; four-way; nothing lost",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 1000, 3000 } } },

	{ "still_open", {
	    "open; all acknowledged",
	    FLOW_OPEN, FLOW_WHY_NONE, NOBODY, NOBODY, false,
	    { 0, 0 }, { 1000, 3000 } } },
	{ "half_closed", {
	    "server closed first; client has not; all acknowledged",
	    FLOW_HALF_CLOSED, FLOW_WHY_NONE, S, NOBODY, false,
	    { 0, 0 }, { 1000, 3000 } } },
	{ "not_acknowledged", {
	    "open; 1000 bytes to the server not acknowledged",
	    FLOW_OPEN, FLOW_WHY_NONE, NOBODY, NOBODY, false,
	    { 1000, 0 }, { 2000, 3000 } } },

	{ "unread", {
	    "server reset it (unread input, or abort); nothing lost; the "
	    "server may not have read all",
	    FLOW_RESET, FLOW_WHY_EITHER, S, S, true,
	    { 0, 0 }, { 2000, 3000 } } },
	{ "unread_after_fin", {
	    "client closed first; server reset it (unread input, abort, or "
	    "never accepted); nothing lost; the server may not have read all",
	    FLOW_RESET, FLOW_WHY_EITHER, C, S, true,
	    { 0, 0 }, { 1000, 0 } } },
	{ "unread_after_shutdown", {
	    "server closed first; server reset it (unread input, or abort); "
	    "nothing lost; the server may not have read all",
	    FLOW_RESET, FLOW_WHY_EITHER, S, S, true,
	    { 0, 0 }, { 2000, 3000 } } },
	{ "unread_both", {
	    "server reset it (unread input, or abort); nothing lost; the "
	    "server may not have read all",
	    FLOW_RESET, FLOW_WHY_EITHER, S, S, true,
	    { 0, 0 }, { 1000, 3000 } } },
	{ "unread_zero_window", {
	    "server reset it (unread input); nothing lost; the server may "
	    "not have read all; more may have waited for the server's window",
	    FLOW_RESET, FLOW_WHY_UNREAD, S, S, true,
	    { 0, 0 }, { 4096, 0 } } },
	{ "early_reply", {
	    "server reset it (unread input, or abort); 3000 bytes to the "
	    "client lost; the server may not have read all",
	    FLOW_RESET, FLOW_WHY_EITHER, S, S, true,
	    { 0, 3000 }, { 1000, 3000 } } },

	{ "late_data", {
	    "server closed first; server reset it (late data); 1000 bytes to "
	    "the server lost",
	    FLOW_RESET, FLOW_WHY_LATE_DATA, S, S, true,
	    { 1000, 0 }, { 2000, 3000 } } },
	{ "late_data_and_fin", {
	    "server closed first; server reset it (late data); 1000 bytes to "
	    "the server lost",
	    FLOW_RESET, FLOW_WHY_LATE_DATA, S, S, true,
	    { 1000, 0 }, { 2000, 3000 } } },

	{ "linger0_silent", {
	    "server reset it (abort, or never accepted); nothing lost",
	    FLOW_RESET, FLOW_WHY_ABORT, S, S, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "linger0_read", {
	    "server reset it (unread input, or abort); nothing lost; the "
	    "server may not have read all",
	    FLOW_RESET, FLOW_WHY_EITHER, S, S, true,
	    { 0, 0 }, { 1000, 3000 } } },
	{ "linger0_unread", {
	    "server reset it (unread input, or abort); nothing lost; the "
	    "server may not have read all",
	    FLOW_RESET, FLOW_WHY_EITHER, S, S, true,
	    { 0, 0 }, { 2000, 3000 } } },
	{ "linger0_zero_window", {
	    "server reset it (unread input); nothing lost; the server may "
	    "not have read all; more may have waited for the server's window",
	    FLOW_RESET, FLOW_WHY_UNREAD, S, S, true,
	    { 0, 0 }, { 4096, 0 } } },
	{ "linger0_loses", {
	    "server reset it (abort); 3000 bytes to the client lost",
	    FLOW_RESET, FLOW_WHY_ABORT, S, S, true,
	    { 0, 3000 }, { 0, 3000 } } },
	{ "linger0_after_fin", {
	    "client closed first; server reset it (unread input, or abort); "
	    "nothing lost; the server may not have read all",
	    FLOW_RESET, FLOW_WHY_EITHER, C, S, true,
	    { 0, 0 }, { 1000, 3000 } } },
	{ "unspec_silent", {
	    "server reset it (abort, or never accepted); nothing lost",
	    FLOW_RESET, FLOW_WHY_ABORT, S, S, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "unspec_read", {
	    "server reset it (unread input, or abort); nothing lost; the "
	    "server may not have read all",
	    FLOW_RESET, FLOW_WHY_EITHER, S, S, true,
	    { 0, 0 }, { 1000, 3000 } } },
	{ "unspec_unread", {
	    "server reset it (unread input, or abort); nothing lost; the "
	    "server may not have read all",
	    FLOW_RESET, FLOW_WHY_EITHER, S, S, true,
	    { 0, 0 }, { 2000, 3000 } } },
	{ "unspec_zero_window", {
	    "server reset it (unread input, abort, or never accepted); "
	    "nothing lost; the server may not have read all; more may have "
	    "waited for the server's window",
	    FLOW_RESET, FLOW_WHY_EITHER, S, S, true,
	    { 0, 0 }, { 4096, 0 } } },
	{ "unspec_after_shutdown", {
	    "server closed first; server reset it (unread input, or abort); "
	    "3000 bytes to the client lost; the server may not have read all",
	    FLOW_RESET, FLOW_WHY_EITHER, S, S, true,
	    { 0, 3000 }, { 1000, 6000 } } },
	{ "unspec_shut_window", {
	    "server reset it (abort); nothing lost; more may have waited for "
	    "the client's window",
	    FLOW_RESET, FLOW_WHY_ABORT, S, S, true,
	    { 0, 0 }, { 0, 4096 } } },
	{ "not_accepted", {
	    "server reset it (abort, or never accepted); nothing lost",
	    FLOW_RESET, FLOW_WHY_ABORT, S, S, true,
	    { 0, 0 }, { 0, 0 } } },

	{ "refused", {
	    "server refused it; nothing lost",
	    FLOW_REFUSED, FLOW_WHY_NONE, S, S, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "vanished", {
	    "server reset it (no such connection); 1000 bytes to the "
	    "server lost; the server may not have read all",
	    FLOW_RESET, FLOW_WHY_GONE, S, S, true,
	    { 1000, 0 }, { 2000, 3000 } } },
	{ "fin_timeout", {
	    "server closed first; server reset it (no such "
	    "connection); nothing lost; the server may not have read all",
	    FLOW_RESET, FLOW_WHY_GONE, S, S, true,
	    { 0, 0 }, { 1000, 3000 } } },
};
#define RECORDINGS	((int)(sizeof(recordings) / sizeof(recordings[0])))

#ifdef HAVE_PCAP
static const char *
load(const char *name)
{
	char file[256], recorded[64], why[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	const u_char *packet;
	pcap_t *p;

	snprintf(recorded, sizeof(recorded), "captures/%s.pcap", name);
	t_beside(file, sizeof(file), __FILE__, recorded);
	p = pcap_open_offline(file, why);
	ck_assert_msg(p != NULL, "%s", why);
	for (nsegments = 0; pcap_next_ex(p, &header, &packet) == 1;
	    nsegments++) {
		ck_assert_uint_lt(nsegments, SEGMENTS_MAX);
		segments[nsegments].us = header->ts.tv_sec * 1000000LL +
		    header->ts.tv_usec;
		ck_assert(segment_parse(&segments[nsegments],
		    pcap_datalink(p), packet, header->caplen, header->len));
	}
	pcap_close(p);
	ck_assert_uint_gt(nsegments, 0);
	return NULL;
}
#else
static const char *
load(const char *name)
{
	(void)name;
	return "built without libpcap";
}
#endif

START_TEST(a_recording_is_reported_right)
{
	const struct recording *r = &recordings[_i];
	bool twice = strcmp(r->name, "same_ports") == 0;
	const char *missing = load(r->name);
	struct flow f;

	if (missing != NULL)
		t_skip(missing);
	ck_assert_int_eq(feed_all(&f, 0, nsegments), twice ? 2 : 1);
	ck_assert(f.from_syn);
	ck_assert_int_le(f.began_us, f.last_us);
	compare(r->name, &f, &r->want);
}
END_TEST

/* The first segment is the client's SYN, the second the server's. */
static void
place(uint32_t client, uint32_t server)
{
	struct endpoint who = segments[0].from;

	client -= segments[0].seq;
	server -= segments[1].seq;
	for (size_t i = 0; i < nsegments; i++) {
		struct segment *s = &segments[i];
		bool from = endpoint_equal(&s->from, &who);

		s->seq += from ? client : server;
		if (s->flags & SEGMENT_ACK)
			s->ack += from ? server : client;
	}
}

START_TEST(sequence_numbers_go_round)
{
	const struct recording *r = &recordings[_i];
	const char *missing = load(r->name);
	struct flow f;

	if (missing != NULL)
		t_skip(missing);
	if (strcmp(r->name, "same_ports") == 0)
		nsegments /= 2;
	for (int i = 0; i < TURNS; i++) {
		place(turns[i], turns[(i + 1) % TURNS]);
		feed_all(&f, 0, nsegments);
		compare(r->name, &f, &r->want);
	}
}
END_TEST

START_TEST(a_segment_seen_twice_counts_once)
{
	const struct recording *r = &recordings[_i];
	const char *missing = load(r->name);
	struct flow f;

	if (missing != NULL)
		t_skip(missing);
	flow_begin(&f, &segments[0]);
	for (size_t i = 0; i < nsegments; i++) {
		if (flow_has(&f, &segments[i]))
			flow_feed(&f, &segments[i]);
		else
			flow_begin(&f, &segments[i]);
		ck_assert(flow_has(&f, &segments[i]));
		flow_feed(&f, &segments[i]);
	}
	compare(r->name, &f, &r->want);
}
END_TEST

static bool
orderly(const struct recording *r)
{
	return r->want.over && r->want.reset_by == NOBODY &&
	    strcmp(r->name, "same_ports") != 0;
}

static void
swap(struct segment *a, struct segment *b)
{
	struct segment was = *a;

	*a = *b;
	*b = was;
}

/*
 * Two queues may capture the two directions and mix them up.  The answer to a
 * SYN with data does not show where that data began.
 */
START_TEST(neighbours_may_change_places)
{
	const struct recording *r = &recordings[_i];
	const char *missing = load(r->name);
	struct flow f;

	if (missing != NULL)
		t_skip(missing);
	if (!orderly(r))
		return;
	for (size_t i = segments[0].length > 0 ? 2 : 1; i < nsegments; i++) {
		swap(&segments[i - 1], &segments[i]);
		feed_all(&f, 0, nsegments);
		ck_assert_msg(flow_over(&f) && f.reset_by == NOBODY,
		    "%s, %zu", r->name, i);
		for (int side = 0; side < 2; side++) {
			ck_assert_uint_eq(flow_lost(&f, side), 0);
			ck_assert_uint_eq(flow_sent(&f, side),
			    r->want.sent[side]);
		}
		swap(&segments[i - 1], &segments[i]);
	}
}
END_TEST

/*
 * If a connection began before the capture, the report has what the capture
 * shows: whether an RST came, and what was lost.
 */
START_TEST(a_capture_may_begin_and_end_anywhere)
{
	const struct recording *r = &recordings[_i];
	const char *missing = load(r->name);
	struct flow f;

	if (missing != NULL)
		t_skip(missing);
	for (size_t from = 0; from < nsegments; from++) {
		for (size_t to = from + 1; to <= nsegments; to++) {
			feed_all(&f, from, to);
			make_sense(&f);
		}
		if (r->want.end == FLOW_RESET)
			ck_assert_int_eq(f.end, FLOW_RESET);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("flow, recorded");
	TCase *tc = t_case(s, "recorded");

	tcase_add_loop_test(tc, a_recording_is_reported_right, 0, RECORDINGS);
	tcase_add_loop_test(tc, sequence_numbers_go_round, 0, RECORDINGS);
	tcase_add_loop_test(tc, a_segment_seen_twice_counts_once, 0,
	    RECORDINGS);
	tcase_add_loop_test(tc, a_capture_may_begin_and_end_anywhere, 0,
	    RECORDINGS);
	tcase_add_loop_test(tc, neighbours_may_change_places, 0, RECORDINGS);
	return t_main(s);
}
