/*
 * check_flow_scripts.c - what flow.h says of connections that loopback does not
 * make easily, written as scripts
 */
#include <sys/socket.h>

#include <stdlib.h>
#include <string.h>

#include "closewatch/flow_want.h"
#include "support/util.h"

/*
 * A script is segments separated by ';': c or s for the sender, flags as in
 * tcpdump(8), relative sequence number, "+" and length, acknowledgement, "w"
 * and window, "@" and milliseconds to wait before.  ISNs are 0; the default of
 * the window is 1000.
 */
#define OPEN	"c S 0; s S. 0 1; c . 1 1; "

static const struct script {
	const char	*name;
	const char	*script;
	struct want	 want;
} scripts[] = {
	{ "simultaneous open",
	    "c S 0; s S 0; c S. 0 1; s S. 0 1; c P. 1+10 1; s . 1 11; "
	    "c F. 11 1; s F. 1 12; c . 12 2",
	    { "client closed first; three-segment; nothing lost",
	    FLOW_THREE_SEGMENT, FLOW_WHY_NONE, C, NOBODY, true,
	    { 0, 0 }, { 10, 0 } } },
	{ "a FIN that acknowledges what the capture lacks",
	    "c S 0; s S. 0 1; c P. 1+10 1; s P. 1+1000 11; c . 11 1001; "
	    "c F. 11 6001; s F. 6001 12; c . 12 6002",
	    { "client closed first; three-segment; nothing lost",
	    FLOW_THREE_SEGMENT, FLOW_WHY_NONE, C, NOBODY, true,
	    { 0, 0 }, { 10, 6000 } } },
	{ "the SYN comes again",
	    "c S 0; c S 0; s S. 0 1; c S 0; s S. 0 1; c . 1 1; c F. 1 1; "
	    "s . 1 2; s F. 1 2; c . 2 2",
	    { "client closed first; four-way; nothing lost",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, C, NOBODY, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "the SYN was overtaken",
	    "c S 0; c . 1 1; s . 1+5 1; s S. 0 1; c . 1 6; s F. 6 1; c . 1 7; "
	    "c F. 1 7; s . 7 2",
	    { "server closed first; four-way; nothing lost",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 0, 5 } } },
	{ "fast open",
	    "c S 0+100; s S. 0 101; c . 101 1",
	    { "open; all acknowledged",
	    FLOW_OPEN, FLOW_WHY_NONE, NOBODY, NOBODY, false,
	    { 0, 0 }, { 100, 0 } } },
	{ "fast open, not taken",
	    "c S 0+100; s S. 0 1; c P. 1+100 1",
	    { "open; 100 bytes to the server not acknowledged",
	    FLOW_OPEN, FLOW_WHY_NONE, NOBODY, NOBODY, false,
	    { 100, 0 }, { 100, 0 } } },
	{ "fast open, refused",
	    "c S 0+100; s R. 0 101",
	    { "server refused it; 100 bytes to the server lost",
	    FLOW_REFUSED, FLOW_WHY_NONE, S, S, true,
	    { 100, 0 }, { 100, 0 } } },

	{ "data overtakes data",
	    OPEN "c P. 101+100 1; s . 1 1; c P. 1+100 1; s . 1 201; "
	    "c F. 201 1; s F. 1 202; c . 202 2",
	    { "client closed first; three-segment; nothing lost",
	    FLOW_THREE_SEGMENT, FLOW_WHY_NONE, C, NOBODY, true,
	    { 0, 0 }, { 200, 0 } } },
	{ "the FIN overtakes data",
	    OPEN "c F. 101 1; s . 1 1; c P. 1+100 1; s . 1 102; s F. 1 102; "
	    "c . 102 2",
	    { "client closed first; four-way; nothing lost",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, C, NOBODY, true,
	    { 0, 0 }, { 100, 0 } } },
	{ "an ACK overtakes an ACK",
	    OPEN "c . 1+10 1; c . 11+10 1; s . 1 21 w0; s . 1 11 w90; "
	    "s R. 1 21 w50",
	    { "server reset it (unread input); nothing lost; the server may "
	    "not have read all; more may have waited for the server's window",
	    FLOW_RESET, FLOW_WHY_UNREAD, S, S, true,
	    { 0, 0 }, { 20, 0 } } },
	{ "sent again in other pieces",
	    OPEN "c . 1+10 1; c . 11+10 1; c P. 1+20 1; c P. 6+30 1; s . 1 36",
	    { "open; all acknowledged",
	    FLOW_OPEN, FLOW_WHY_NONE, NOBODY, NOBODY, false,
	    { 0, 0 }, { 35, 0 } } },
	{ "the FIN comes again, with data",
	    OPEN "c P. 1+10 1; c F. 11 1; c FP. 1+10 1; s . 1 12; "
	    "c FP. 1+10 1; s F. 1 12; s F. 1 12; c . 12 2; s F. 1 12; "
	    "c . 12 2",
	    { "client closed first; four-way; nothing lost",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, C, NOBODY, true,
	    { 0, 0 }, { 10, 0 } } },
	{ "keep-alive with a byte",
	    OPEN "c P. 1+10 1; s . 1 11; c . 10+1 1; s . 1 11; c . 10 1; "
	    "s . 1 11; s . 0 11; c . 11 1",
	    { "open; all acknowledged",
	    FLOW_OPEN, FLOW_WHY_NONE, NOBODY, NOBODY, false,
	    { 0, 0 }, { 10, 0 } } },
	{ "window probes with a byte",
	    OPEN "c P. 1+10 1; s . 1 11 w0; c . 11+1 1; s . 1 11 w0; "
	    "c . 11+1 1; s . 1 11 w0",
	    { "open; 1 byte to the server not acknowledged",
	    FLOW_OPEN, FLOW_WHY_NONE, NOBODY, NOBODY, false,
	    { 1, 0 }, { 11, 0 } } },
	{ "data that the capture lacks",
	    OPEN "s . 1 1001; c P. 1001+10 1",
	    { "open; 10 bytes to the server not acknowledged",
	    FLOW_OPEN, FLOW_WHY_NONE, NOBODY, NOBODY, false,
	    { 10, 0 }, { 1010, 0 } } },
	{ "what is far off is of another connection",
	    OPEN "c P. 1500000000+10 1; c P. -1500000000+10 1; "
	    "s . 1 1500000000",
	    { "open; all acknowledged",
	    FLOW_OPEN, FLOW_WHY_NONE, NOBODY, NOBODY, false,
	    { 0, 0 }, { 0, 0 } } },

	{ "half-closed, and sends on",
	    OPEN "s F. 1 1; c . 1 2; c P. 1+10 2; s . 2 11; c P. 11+10 2",
	    { "server closed first; client sent 20 bytes more; client has "
	    "not; 10 bytes to the server not acknowledged",
	    FLOW_HALF_CLOSED, FLOW_WHY_NONE, S, NOBODY, false,
	    { 10, 0 }, { 20, 0 } } },
	{ "FINs cross behind data",
	    OPEN "c P. 1+10 1; c F. 11 1; s F. 1 1; s . 2 12; c . 12 2",
	    { "client closed first; simultaneous; nothing lost",
	    FLOW_SIMULTANEOUS, FLOW_WHY_NONE, C, NOBODY, true,
	    { 0, 0 }, { 10, 0 } } },
	{ "a FIN alone",
	    OPEN "c F. 1 1",
	    { "client closed first; server has not; all but the client's FIN "
	    "acknowledged",
	    FLOW_HALF_CLOSED, FLOW_WHY_NONE, C, NOBODY, false,
	    { 0, 0 }, { 0, 0 } } },
	{ "the last ACK is missing",
	    OPEN "s F. 1 1; c F. 1 2",
	    { "server closed first; three-segment; all but the client's FIN "
	    "acknowledged",
	    FLOW_THREE_SEGMENT, FLOW_WHY_NONE, S, NOBODY, false,
	    { 0, 0 }, { 0, 0 } } },
	{ "beyond a FIN there is nothing",
	    OPEN "c F. 1 1; c P. 2+10 1; c P. 1+10 1; c F. 11 1; s . 1 500",
	    { "client closed first; server has not; all but the client's FIN "
	    "acknowledged",
	    FLOW_HALF_CLOSED, FLOW_WHY_NONE, C, NOBODY, false,
	    { 0, 0 }, { 0, 0 } } },
	{ "a FIN amid data is none",
	    OPEN "c P. 1+10 1; c F. 1 1; s . 1 11",
	    { "open; all acknowledged",
	    FLOW_OPEN, FLOW_WHY_NONE, NOBODY, NOBODY, false,
	    { 0, 0 }, { 10, 0 } } },
	{ "SYN and FIN in one",
	    "c SF 0; s S. 0 2; c . 2 1; s F. 1 2; c . 2 2",
	    { "client closed first; four-way; nothing lost",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, C, NOBODY, true,
	    { 0, 0 }, { 0, 0 } } },

	{ "refused at the second SYN",
	    "c S 0; c S 0; s R. 0 1",
	    { "server refused it; nothing lost",
	    FLOW_REFUSED, FLOW_WHY_NONE, S, S, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "what refuses has the right ACK",
	    "c S 0; s R. 0 77; s R 0; s R. 0 0",
	    { "open; all acknowledged",
	    FLOW_OPEN, FLOW_WHY_NONE, NOBODY, NOBODY, false,
	    { 0, 0 }, { 0, 0 } } },
	{ "a scanner",
	    "c S 0; s S. 0 1; c R 1",
	    { "client reset it (no such connection); nothing lost",
	    FLOW_RESET, FLOW_WHY_GONE, C, C, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "a SYN of another connection draws an ACK",
	    OPEN "c S 700; s . 1 1",
	    { "open; all acknowledged",
	    FLOW_OPEN, FLOW_WHY_NONE, NOBODY, NOBODY, false,
	    { 0, 0 }, { 0, 0 } } },
	{ "the ACK that a SYN drew is answered with a RST",
	    OPEN "c S 700; s . 1 1; c R 1",
	    { "client reset it (no such connection); nothing lost",
	    FLOW_RESET, FLOW_WHY_GONE, C, C, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "a RST before data that is on its way",
	    OPEN "s P. 1+10 1; s R 1",
	    { "server reset it (no such connection); 10 bytes to the "
	    "client lost",
	    FLOW_RESET, FLOW_WHY_GONE, S, S, true,
	    { 0, 10 }, { 0, 10 } } },
	{ "an abort that only a FIN had come to",
	    OPEN "c F. 1 1; s . 1 2; s R. 1 2",
	    { "client closed first; server reset it (abort, or never "
	    "accepted); nothing lost",
	    FLOW_RESET, FLOW_WHY_ABORT, C, S, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "a RST far off",
	    OPEN "s R 1500000000; s R. -5 1; s R -5; s R 0",
	    { "open; all acknowledged",
	    FLOW_OPEN, FLOW_WHY_NONE, NOBODY, NOBODY, false,
	    { 0, 0 }, { 0, 0 } } },
	{ "a guessed RST draws an ACK",
	    OPEN "s R 50; c . 1 1; s R. 60 900; c . 1 1; c P. 1+10 1; "
	    "s . 1 11; s R. 60 5",
	    { "open; all acknowledged",
	    FLOW_OPEN, FLOW_WHY_NONE, NOBODY, NOBODY, false,
	    { 0, 0 }, { 10, 0 } } },
	{ "a RST that was asked for again",
	    OPEN "s R 50; c . 1 1; s R 1",
	    { "server reset it (no such connection); nothing lost",
	    FLOW_RESET, FLOW_WHY_GONE, S, S, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "a RST behind data that the capture lacks",
	    OPEN "c P. 1+10 1; s R. 3001 11",
	    { "server reset it (unread input, or abort); 10 bytes to the "
	    "server and 3000 bytes to the client lost",
	    FLOW_RESET, FLOW_WHY_EITHER, S, S, true,
	    { 10, 3000 }, { 10, 3000 } } },
	{ "a RST with the number of the FIN",
	    OPEN "c F. 1 1; s . 1 2; c R 1",
	    { "client closed first; client reset it (no such "
	    "connection); nothing lost",
	    FLOW_RESET, FLOW_WHY_GONE, C, C, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "data crosses a RST",
	    OPEN "s P. 1+10 1; c . 1 11; s R. 11 1; c P. 1+100 11; s R 11; "
	    "s R 11",
	    { "server reset it (abort); 100 bytes to the server lost",
	    FLOW_RESET, FLOW_WHY_ABORT, S, S, true,
	    { 100, 0 }, { 100, 10 } } },
	{ "an ACK and a FIN cross a RST",
	    OPEN "s P. 1+10 1; s R. 11 1; c . 1 11; c F. 1 11; s R 11",
	    { "server reset it (abort); nothing lost",
	    FLOW_RESET, FLOW_WHY_ABORT, S, S, true,
	    { 0, 0 }, { 0, 10 } } },
	{ "a RST after all",
	    OPEN "s F. 1 1; c . 1 2; c P. 1+5 2; c F. 6 2; s . 2 7; c . 6 2; "
	    "s R 2",
	    { "server closed first; client sent 5 bytes more; four-way; "
	    "nothing lost; then a RST from the server",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 5, 0 } } },
	{ "late data before the FIN was acknowledged",
	    OPEN "s P. 1+10 1; s F. 11 1; c P. 1+5 1; s R 1; c . 6 12; s R 12",
	    { "server closed first; server reset it (late data); 5 bytes to "
	    "the server lost",
	    FLOW_RESET, FLOW_WHY_LATE_DATA, S, S, true,
	    { 5, 0 }, { 5, 10 } } },
	{ "a reader that aborts after a closed window",
	    OPEN "c P. 1+10 1; s . 1 11 w0; s . 1 11 w50; s R. 1 11 w50",
	    { "server reset it (unread input, abort, or never accepted); "
	    "nothing lost; the server may not have read all",
	    FLOW_RESET, FLOW_WHY_EITHER, S, S, true,
	    { 0, 0 }, { 10, 0 } } },
	{ "everything at once",
	    OPEN "c P. 1+1000000000 1; s P. 1+1000000000 2 w0; c . 1 2 w0; "
	    "c . 1000000001 2 w0; s F. 1000000001 2 w0; s R. 1000000002 2 w9",
	    { "server closed first; server reset it (unread input); 999999999 "
	    "bytes to the server and 999999999 bytes to the client lost; the "
	    "server may not have read all; more may have waited for the "
	    "server's window",
	    FLOW_RESET, FLOW_WHY_UNREAD, S, S, true,
	    { 999999999, 999999999 }, { 1000000000, 1000000000 } } },

	{ "begins with SYN and ACK",
	    "s S. 0 1; c . 1 1; c P. 1+10 1; s R. 1 1",
	    { "server reset it (abort, or never accepted); 10 bytes to the "
	    "server lost",
	    FLOW_RESET, FLOW_WHY_ABORT, S, S, true,
	    { 10, 0 }, { 10, 0 } } },
	{ "begins in the middle",
	    "c P. 1+100 1; s . 1 101; s F. 1 101; c F. 101 2; s . 2 102",
	    { "server closed first; three-segment; nothing lost; begun before "
	    "the capture",
	    FLOW_THREE_SEGMENT, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 100, 0 } } },
	{ "begins in the middle of what was sent",
	    "s . 1 51; c P. 101+50 1; s . 1 151; c R. 151 1",
	    { "client reset it (unread input, or abort); nothing lost; begun "
	    "before the capture",
	    FLOW_RESET, FLOW_WHY_EITHER, C, C, true,
	    { 0, 0 }, { 100, 0 } } },
	{ "begins with a FIN",
	    "s F. 1 1; c . 1 2; c F. 1 2; s . 2 2",
	    { "server closed first; four-way; nothing lost; begun before the "
	    "capture",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "begins with a RST",
	    "s R 1",
	    { "server reset it (no such connection); only one "
	    "direction was captured; begun before the capture",
	    FLOW_RESET, FLOW_WHY_GONE, S, S, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "begins with a RST and ACK",
	    "s R. 1 1",
	    { "server reset it (unread input, abort, or silence); only one "
	    "direction was captured; begun before the capture",
	    FLOW_RESET, FLOW_WHY_EITHER, S, S, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "one direction only",
	    "c S 0; c . 1 1; c P. 1+10 1; c . 11 51; c F. 11 51; c . 12 52",
	    { "client closed; only one direction was captured",
	    FLOW_HALF_CLOSED, FLOW_WHY_NONE, C, NOBODY, false,
	    { 0, 0 }, { 10, 51 } } },
	{ "one direction only, reset",
	    "c S 0; c . 1 1; c P. 1+500 1; c . 501 1001; c R. 501 1001",
	    { "client reset it (unread input, abort, or silence); only one "
	    "direction was captured; the client may not have read all",
	    FLOW_RESET, FLOW_WHY_EITHER, C, C, true,
	    { 0, 0 }, { 500, 1000 } } },
	{ "keep-alive probes without an answer",
	    OPEN "s . 0 1 @1000; s . 0 1 @1000; s R. 1 1 @1000",
	    { "server reset it (no answer to keep-alive); nothing lost",
	    FLOW_RESET, FLOW_WHY_SILENCE, S, S, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "keep-alive probes with a byte, all was read",
	    OPEN "c P. 1+10 1; s . 1 11; s . 0+1 11 @1000; "
	    "s . 0+1 11 @1000; s R. 1 11 @1000",
	    { "server reset it (no answer to keep-alive); nothing lost; the "
	    "server may not have read all",
	    FLOW_RESET, FLOW_WHY_SILENCE, S, S, true,
	    { 0, 0 }, { 10, 0 } } },
	{ "keep-alive probes after a FIN",
	    OPEN "s F. 1 1; c . 1 2; s . 1 1 @1000; s R. 2 1 @1000",
	    { "server closed first; server reset it (no answer to keep-alive); "
	    "nothing lost",
	    FLOW_RESET, FLOW_WHY_SILENCE, S, S, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "a keep-alive probe with an answer, then an abort",
	    OPEN "s . 0 1 @1000; c . 1 1; s R. 1 1 @1000",
	    { "server reset it (abort, or never accepted); nothing lost",
	    FLOW_RESET, FLOW_WHY_ABORT, S, S, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "an abort sooner than the answer could be waited for",
	    OPEN "s . 0 1 @1000; s R. 1 1 @50",
	    { "server reset it (abort, or never accepted); nothing lost",
	    FLOW_RESET, FLOW_WHY_ABORT, S, S, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "a byte that comes again is no keep-alive probe",
	    OPEN "s P. 1+1 1; s P. 1+1 1 @1000; s R. 2 1 @1000",
	    { "server reset it (abort); 1 byte to the client lost",
	    FLOW_RESET, FLOW_WHY_ABORT, S, S, true,
	    { 0, 1 }, { 0, 1 } } },
	{ "begins with a keep-alive probe and its answer",
	    "s . 0 1; c . 1 1; s R. 1 1",
	    { "server reset it (unread input, or abort); nothing lost; begun "
	    "before the capture",
	    FLOW_RESET, FLOW_WHY_EITHER, S, S, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "begins with keep-alive probes without an answer",
	    "s . 0 1; s . 0 1 @1000; s R. 1 1 @1000; c F. 1 1; s R 1",
	    { "server reset it (no answer to keep-alive); nothing lost; begun "
	    "before the capture",
	    FLOW_RESET, FLOW_WHY_SILENCE, S, S, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "begins with a keep-alive probe that goes on",
	    "s . 0 1; s F. 1 1; c F. 1 2; s . 2 2",
	    { "server closed first; three-segment; nothing lost; begun before "
	    "the capture",
	    FLOW_THREE_SEGMENT, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "begins with what answers a FIN",
	    "s . 1 1; c . 1 2; s F. 1 1; c F. 1 2; s . 2 2",
	    { "server closed first; four-way; nothing lost; begun before the "
	    "capture",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 0, 0 } } },
	{ "the ACK of a FIN comes before it",
	    OPEN "s P. 1+10 1; c . 1 12; s F. 11 1; c F. 1 12; s . 12 2",
	    { "server closed first; four-way; nothing lost",
	    FLOW_FOUR_WAY, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 0, 10 } } },
	{ "the FIN that answers comes before the one that it answers",
	    OPEN "s P. 1+10 1; c F. 1 12; s F. 11 1; s . 12 2",
	    { "server closed first; three-segment; nothing lost",
	    FLOW_THREE_SEGMENT, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 0, 10 } } },
	{ "a RST in the window, at no boundary",
	    OPEN "s . 1+1000 1; s R 501; c . 1 1001; s F. 1001 1; "
	    "c F. 1 1002; s . 1002 2",
	    { "server closed first; three-segment; nothing lost",
	    FLOW_THREE_SEGMENT, FLOW_WHY_NONE, S, NOBODY, true,
	    { 0, 0 }, { 0, 1000 } } },
};
#define SCRIPTS	((int)(sizeof(scripts) / sizeof(scripts[0])))

static const struct endpoint ends[] = {
	{ AF_INET, { 127, 0, 0, 1 }, 40000 },
	{ AF_INET, { 127, 0, 0, 1 }, 80 },
};

static uint8_t
read_flags(const char *text)
{
	static const char letters[] = "FSRP.";
	const char *letter;
	uint8_t flags = 0;

	for (; *text != ' '; text++) {
		ck_assert_ptr_nonnull(letter = strchr(letters, *text));
		flags |= (uint8_t)(1 << (letter - letters));
	}
	return flags;
}

static void
read_segment(struct segment *s, const char *at, const uint32_t isn[2])
{
	int server = *at == 's';
	char *end;

	*s = (struct segment){
		.from = ends[server], .to = ends[!server],
		.flags = read_flags(at + 2), .window = 1000,
	};
	at = strchr(at + 2, ' ');
	s->seq = isn[server] + (uint32_t)strtoll(at, &end, 10);
	if (*end == '+')
		s->length = (uint32_t)strtoul(end + 1, &end, 10);
	if (s->flags & SEGMENT_ACK)
		s->ack = isn[!server] + (uint32_t)strtoul(end, &end, 10);
	if (end[0] == ' ' && end[1] == 'w')
		s->window = (uint16_t)strtoul(end + 2, &end, 10);
	if (end[0] == ' ' && end[1] == '@')
		s->us = 1000 * strtoll(end + 2, &end, 10);
	ck_assert_msg(*end == ';' || *end == '\0', "\"%s\"", end);
}

static void
read_script(const char *script, uint32_t client, uint32_t server)
{
	const uint32_t isn[2] = { client, server };
	int64_t us = 0;

	for (nsegments = 0; *script != '\0'; nsegments++) {
		ck_assert_uint_lt(nsegments, SEGMENTS_MAX);
		read_segment(&segments[nsegments], script, isn);
		us += segments[nsegments].us + 1;
		segments[nsegments].us = us;
		script += strcspn(script, ";");
		script += strspn(script, "; ");
	}
}

START_TEST(a_script_is_reported_right)
{
	const struct script *p = &scripts[_i];
	struct flow f;

	for (int i = 0; i < TURNS; i++) {
		read_script(p->script, turns[i], turns[(i + 1) % TURNS]);
		ck_assert_int_eq(feed_all(&f, 0, nsegments), 1);
		compare(p->name, &f, &p->want);
		make_sense(&f);
		ck_assert_int_eq(f.last_us, segments[nsegments - 1].us);
	}
}
END_TEST

/* --- which segments belong to a connection --- */

static const struct {
	const char	*name;
	const char	*script;
	const char	*then;
	bool		 has;
} pairs[] = {
	{ "the same SYN", "c S 0", "c S 0", true },
	{ "the same SYN, open", OPEN, "c S 0", true },
	{ "the same SYN, over", OPEN "s R. 1 1", "c S 0", true },
	{ "a SYN that crosses", "c S 0", "s S 7", true },
	{ "the answer", "c S 0", "s S. 7 1", true },
	{ "another SYN, open: will be asked to reset", OPEN, "c S 700",
	    true },
	{ "its answer: the capture lacks an end", OPEN "c S 700",
	    "s S. 900 701", false },
	{ "another SYN, refused", "c S 0; s R. 0 1", "c S 700", false },
	{ "another SYN, reset", OPEN "s R. 1 1", "c S 700", false },
	{ "another SYN, closed", OPEN "c F. 1 1; s F. 1 2; c . 2 2",
	    "c S 700", false },
	{ "another SYN, from the server", OPEN "c F. 1 1; s F. 1 2; c . 2 2",
	    "s S 700", false },
	{ "another SYN, not quite closed", OPEN "c F. 1 1; s F. 1 2",
	    "c S 700", true },
	{ "another SYN, of the middle", "c . 1 1; s R. 1 1", "c S 700",
	    false },
	{ "late data", OPEN "c R. 1 1", "s P. 1+10 1", true },
	{ "a late RST", OPEN "c R. 1 1", "s R 1", true },
};

START_TEST(a_new_connection_is_not_the_old_one)
{
	struct segment then;
	struct flow f;
	uint32_t isn[2];

	for (int i = 0; i < TURNS; i++) {
		isn[C] = turns[i];
		isn[S] = turns[(i + 1) % TURNS];
		read_script(pairs[_i].script, isn[C], isn[S]);
		feed_all(&f, 0, nsegments);
		read_segment(&then, pairs[_i].then, isn);
		ck_assert_msg(flow_has(&f, &then) == pairs[_i].has, "%s",
		    pairs[_i].name);
		then.from.port++;
		ck_assert(!flow_has(&f, &then));
	}
}
END_TEST

/* A connection to itself, as connect(2) can make one, has but one end. */
START_TEST(both_ends_may_be_the_same)
{
	struct flow f;

	read_script(OPEN "c P. 1+10 1; s . 1 11; c F. 11 1; s R. 1 12", 0,
	    500);
	for (size_t i = 0; i < nsegments; i++)
		segments[i].from = segments[i].to = ends[0];
	feed_all(&f, 0, nsegments);
	ck_assert_uint_gt(f.side[C].segments, 0);
	ck_assert_uint_eq(f.side[S].segments, 0);
	make_sense(&f);
	for (size_t i = 1; i < nsegments; i++) {
		feed_all(&f, i, i + 1);
		make_sense(&f);
		feed_all(&f, i, nsegments);
		make_sense(&f);
	}
}
END_TEST

/* If only one side offers MPTCP, the connection is ordinary TCP. */
START_TEST(mptcp_is_named_when_both_sides_do_it)
{
	char story[FLOW_STORY_SIZE];
	struct flow f;

	read_script(OPEN, 0, 0);
	segments[0].mptcp = true;
	feed_all(&f, 0, nsegments);
	ck_assert_str_eq(flow_story(&f, story), "open; all acknowledged");
	segments[1].mptcp = true;
	feed_all(&f, 0, nsegments);
	ck_assert_str_eq(flow_story(&f, story),
	    "open; all acknowledged; MPTCP: one path of it");
}
END_TEST

START_TEST(more_than_4_gigabytes_are_counted)
{
	const uint32_t piece = 1 << 20;
	struct segment s;
	struct flow f;

	read_script(OPEN, 0, 0);
	feed_all(&f, 0, 3);
	s = segments[2];
	for (int i = 0; i < 6000; i++) {
		s.length = piece;
		flow_feed(&f, &s);
		s.seq += piece;
	}
	ck_assert_uint_eq(flow_sent(&f, C), 6000ULL * piece);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("flow, scripts");
	TCase *tc = t_case(s, "made up");

	tcase_add_loop_test(tc, a_script_is_reported_right, 0, SCRIPTS);
	tcase_add_loop_test(tc, a_new_connection_is_not_the_old_one, 0,
	    (int)(sizeof(pairs) / sizeof(pairs[0])));
	tcase_add_test(tc, both_ends_may_be_the_same);
	tcase_add_test(tc, mptcp_is_named_when_both_sides_do_it);
	tcase_add_test(tc, more_than_4_gigabytes_are_counted);
	return t_main(s);
}
