/*
 * matrix_peer.c - the table of peers
 *
 * Each script waits for our data before it does anything that a close could
 * see, and for our FIN before what is to come after that, so that a slow
 * machine changes times but no order.
 */
#include <sys/types.h>

#include "matrix/matrix_peer.h"

#define N	M_NEVER
#define B	M_BEFORE
#define LATE	M_LATE_MS
#define ALL	M_WRITTEN

/* When a RST that only answers our FIN delivers, and when it resets. */
#ifdef GRACECLOSE_PORTABLE
#define ANSWERED	N
#define UNANSWERED	0
#else
#define ANSWERED	0
#define UNANSWERED	N
#endif

/* Moves that many scripts share. */
#define DATA	{ P_AWAIT_DATA, M_WRITTEN }
#define OUR_FIN	{ P_AWAIT_FIN, 0 }
#define ANY_FIN	{ P_AWAIT_ANY_FIN, 0 }
#define ACKED	{ P_AWAIT_ACKED, 0 }
#define FIN	{ P_FIN, 0 }
#define MUTE	{ P_ACKS, 0 }
#define HEAL	{ P_AWAIT_GO, 0 }, { P_ACKS, 1 }
#define RST	{ P_RST, 0 }
#define VANISH	{ P_VANISH, 0 }
#define SLEEP	{ P_SLEEP, M_LATE_MS }
#define PAUSE	{ P_SLEEP, M_PART_MS }

/*
 * The columns behind the moves: acks, delivered, finished, reset, before,
 * late, ways.
 */
const struct m_peer m_peers[] = {
	{ "Ends in order",
	    { "FIN after ours", { OUR_FIN, FIN } },
	    ALL, 0, 0, N, 0, 0, M_FAULTS },
	{ NULL, { "FIN late", { OUR_FIN, SLEEP, FIN } },
	    ALL, 0, LATE, N, 0, 0, 0 },
	{ NULL, { "FIN first", { DATA, FIN } },
	    ALL, 0, B, N, 0, 0, M_FAULTS },
	{ NULL, { "FIN first, ACKs late",
	    { MUTE, DATA, FIN, ANY_FIN, SLEEP, { P_ACKS, 1 } } },
	    ALL, LATE, B, N, 0, 0, 0 },
	{ NULL, { "simultaneous close",
	    { DATA, MUTE, ANY_FIN, FIN, { P_ACKS, 1 } } },
	    ALL, 0, 0, N, 0, 0, M_FAULTS },
	{ NULL, { "ACKs late",
	    { MUTE, ANY_FIN, SLEEP, { P_ACKS, 1 }, FIN } },
	    ALL, LATE, LATE, N, 0, 0, 0 },
	{ NULL, { "ACKs our FIN late",
	    { DATA, { P_ACK_LATE, LATE }, ANY_FIN, FIN } },
	    ALL, LATE, 0, N, 0, 0, 0 },
	{ NULL, { "ACKs part by part",
	    { MUTE, ANY_FIN, PAUSE, { P_ACK_UP_TO, M_PART }, PAUSE,
	    { P_ACKS, 1 }, FIN } },
	    ALL, 2 * M_PART_MS, 2 * M_PART_MS, N, 0, 0, M_HALFWAY },
	{ NULL, { "late input, FIN",
	    { OUR_FIN, { P_SEND, 20000 }, FIN } },
	    ALL, 0, 0, N, 0, 20000, 0 },
	{ NULL, { "unread input, FIN",
	    { DATA, { P_SEND, 3000 }, OUR_FIN, FIN } },
	    ALL, 0, 0, N, 3000, 0, 0 },
	{ NULL, { "unread input, FIN first",
	    { DATA, { P_SEND, 3000 }, FIN } },
	    ALL, 0, B, N, 3000, 0, 0 },
	{ NULL, { "data behind its FIN",
	    { OUR_FIN, FIN, ACKED, { P_DATA_BEHIND, 700 } } },
	    ALL, 0, 0, N, 0, 0, 0 },

	{ "Ends in order, with a kernel there",
	    { "kernel, FIN after ours", { { P_END, 0 } } },
	    ALL, 0, 0, N, 0, 0, M_KERNEL | M_FAULTS },
	{ NULL, { "kernel, FIN first", { { P_END, 0 } } },
	    ALL, 0, B, N, 0, 0, M_KERNEL | M_FAULTS },
	{ NULL, { "kernel, simultaneous", { { P_END, 0 } } },
	    ALL, 0, 0, N, 0, 0, M_KERNEL | M_FAULTS | M_TOGETHER },

	{ "Does not end",
	    { "never FIN", { OUR_FIN, HEAL, FIN } },
	    ALL, 0, N, N, 0, 0, M_WAKES },
	{ NULL, { "late input, never FIN",
	    { OUR_FIN, { P_SEND, 3000 }, HEAL, FIN } },
	    ALL, 0, N, N, 0, 3000, M_WAKES },
	{ NULL, { "drip for ever", { OUR_FIN, { P_DRIP, 40 } } },
	    ALL, 0, N, N, 0, 0, M_ENDLESS },
	{ NULL, { "flood for ever", { OUR_FIN, { P_FLOOD, 0 } } },
	    ALL, 0, N, N, 0, 0, M_ENDLESS | M_FLOODS },

	{ "Does not acknowledge",
	    { "nothing", { MUTE, DATA, HEAL, OUR_FIN, FIN } },
	    0, N, N, N, 0, 0, M_WAKES },
	{ NULL, { "a part",
	    { MUTE, DATA, { P_ACK_UP_TO, M_PART }, HEAL, OUR_FIN, FIN } },
	    M_PART, N, N, N, 0, 0, M_WAKES },
	{ NULL, { "all but the FIN", { DATA, MUTE, HEAL, OUR_FIN, FIN } },
	    ALL, N, N, N, 0, 0, M_WAKES },
	{ NULL, { "nothing, FIN first", { MUTE, DATA, FIN, HEAL } },
	    0, N, B, N, 0, 0, M_WAKES },
	{ NULL, { "a part, FIN first",
	    { MUTE, DATA, { P_ACK_UP_TO, M_PART }, FIN, HEAL } },
	    M_PART, N, B, N, 0, 0, M_WAKES },
	{ NULL, { "all but the FIN, FIN first", { DATA, MUTE, FIN, HEAL } },
	    ALL, N, B, N, 0, 0, M_WAKES },
	{ NULL, { "nothing, FIN after ours",
	    { MUTE, ANY_FIN, FIN, HEAL } },
	    0, N, 0, N, 0, 0, M_WAKES },
	{ NULL, { "nothing, but drips",
	    { MUTE, ANY_FIN, { P_DRIP, 40 } } },
	    0, N, N, N, 0, 0, M_ENDLESS },
	{ NULL, { "window shut",
	    { { P_WINDOW, 0 }, { P_AWAIT_GO, 0 },
	    { P_WINDOW, T_PEER_WINDOW }, OUR_FIN, FIN } },
	    0, N, N, N, 0, 0, M_WAKES | M_SHUT },

	{ "Resets",
	    { "before the close", { DATA, RST } },
	    ALL, N, N, B, 0, 0, 0 },
	{ NULL, { "before it, all in doubt", { MUTE, DATA, RST } },
	    0, N, N, B, 0, 0, 0 },
	{ NULL, { "behind unread input",
	    { DATA, { P_SEND, 3000 }, ACKED, RST } },
	    ALL, N, N, B, 3000, 0, 0 },
	{ NULL, { "after its FIN", { DATA, FIN, ACKED, RST } },
	    ALL, N, B, B, 0, 0, 0 },
	{ NULL, { "after its FIN, in doubt",
	    { MUTE, DATA, FIN, ACKED, RST } },
	    0, N, B, B, 0, 0, 0 },
	{ NULL, { "after unread input, FIN",
	    { DATA, { P_SEND, 3000 }, FIN, ACKED, RST } },
	    ALL, N, B, B, 3000, 0, 0 },
	{ NULL, { "on our data", { MUTE, DATA, RST } },
	    0, N, N, 0, 0, 0, M_AT_ONCE },
	{ NULL, { "on our FIN", { DATA, MUTE, ANY_FIN, RST } },
	    ALL, N, N, 0, 0, 0, 0 },
	{ NULL, { "on our FIN, after its own",
	    { DATA, MUTE, FIN, ANY_FIN, RST } },
	    ALL, ANSWERED, B, UNANSWERED, 0, 0, M_ANSWERS },
	{ NULL, { "late, all in doubt", { MUTE, ANY_FIN, SLEEP, RST } },
	    0, N, N, LATE, 0, 0, 0 },
	{ NULL, { "late, all acknowledged", { OUR_FIN, SLEEP, RST } },
	    ALL, 0, N, LATE, 0, 0, 0 },
	{ NULL, { "late, behind late input",
	    { OUR_FIN, { P_SEND, 3000 }, ACKED, SLEEP, RST } },
	    ALL, 0, N, LATE, 0, 3000, 0 },

	{ "Resets in vain",
	    { "outside the window",
	    { DATA, { P_RST_OUTSIDE, 0 }, OUR_FIN, FIN } },
	    ALL, 0, 0, N, 0, 0, 0 },
	{ NULL, { "inside, not exact",
	    { DATA, { P_RST, 100 }, OUR_FIN, FIN } },
	    ALL, 0, 0, N, 0, 0, M_CHALLENGED },
	{ NULL, { "not exact, on our FIN",
	    { OUR_FIN, { P_RST, 100 }, FIN } },
	    ALL, 0, 0, N, 0, 0, M_CHALLENGED },

	{ "Vanishes",
	    { "before our data", { VANISH } },
	    0, N, N, N, 0, 0, M_SILENT },
	{ NULL, { "after our data", { DATA, VANISH } },
	    ALL, N, N, N, 0, 0, M_SILENT },
	{ NULL, { "after our FIN", { OUR_FIN, VANISH } },
	    ALL, 0, N, N, 0, 0, M_SILENT },
	{ NULL, { "after its FIN", { DATA, FIN, ACKED, VANISH } },
	    ALL, N, B, N, 0, 0, M_SILENT },
	{ NULL, { "after its FIN, all in doubt",
	    { MUTE, DATA, FIN, ACKED, VANISH } },
	    0, N, B, N, 0, 0, M_SILENT },
	{ NULL, { "after both FINs",
	    { DATA, MUTE, ANY_FIN, FIN, ACKED, VANISH } },
	    ALL, N, 0, N, 0, 0, M_SILENT },
};

const size_t m_npeers = sizeof(m_peers) / sizeof(m_peers[0]);
