/*
 * layout.c - the sizes, offsets and values that programs were compiled with
 *
 * Nothing here runs: check_header.sh compiles it, in C and C++, for processors
 * with pointers of 8 and of 4 bytes.  A line of a released version never
 * changes.  A reserved field that gets a name leaves its line to what remains.
 */
#include <graceclose.h>

/* An array of -1 elements does not compile, in C99 neither. */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration has none. */
#define HOLDS(name, condition)	typedef char name[(condition) ? 1 : -1]
#define LP64			(sizeof(void *) == 8)
#define HERE(lp64, ilp32)	(LP64 * (lp64) + !LP64 * (ilp32))
#define SIZE(type, lp64, ilp32)						\
	HOLDS(size_of_##type, sizeof(struct type) == HERE(lp64, ilp32))
#define AT(type, member, lp64, ilp32)					\
	HOLDS(type##_##member,						\
	    offsetof(struct type, member) == HERE(lp64, ilp32))
#define VALUE(name, value)	HOLDS(value_of_##name, (name) == (value))

SIZE(graceclose_opts, 48, 40);
AT(graceclose_opts, until, 0, 0);
AT(graceclose_opts, on_expiry, 4, 4);
AT(graceclose_opts, timeout_ms, 8, 8);
AT(graceclose_opts, idle_ms, 12, 12);
AT(graceclose_opts, discard_max, 16, 16);
AT(graceclose_opts, late, 24, 24);
AT(graceclose_opts, arg, 32, 28);
AT(graceclose_opts, flags, 40, 32);
AT(graceclose_opts, reserved, 44, 36);

SIZE(graceclose_report, 56, 56);
AT(graceclose_report, outcome, 0, 0);
AT(graceclose_report, error, 4, 4);
AT(graceclose_report, delivered, 8, 8);
AT(graceclose_report, finished, 12, 12);
AT(graceclose_report, unacked, 16, 16);
AT(graceclose_report, discarded, 24, 24);
AT(graceclose_report, elapsed_us, 32, 32);
AT(graceclose_report, cause, 40, 40);
AT(graceclose_report, reserved0, 44, 44);
AT(graceclose_report, reserved, 48, 48);

/* Its members are private, and may move: the program provides the room. */
SIZE(graceclose, 128, 128);

SIZE(graceclose_reaper_opts, 56, 48);
AT(graceclose_reaper_opts, max, 0, 0);
AT(graceclose_reaper_opts, when_full, 4, 4);
AT(graceclose_reaper_opts, done, 8, 8);
AT(graceclose_reaper_opts, arg, 16, 12);
AT(graceclose_reaper_opts, reserved, 24, 16);

SIZE(graceclose_reaper_stats, 96, 96);
AT(graceclose_reaper_stats, ok, 0, 0);
AT(graceclose_reaper_stats, reset, 8, 8);
AT(graceclose_reaper_stats, expired, 16, 16);
AT(graceclose_reaper_stats, flooded, 24, 24);
AT(graceclose_reaper_stats, aborted, 32, 32);
AT(graceclose_reaper_stats, invalid, 40, 40);
AT(graceclose_reaper_stats, evicted, 48, 48);
AT(graceclose_reaper_stats, now, 56, 56);
AT(graceclose_reaper_stats, peak, 60, 60);
AT(graceclose_reaper_stats, reserved, 64, 64);

VALUE(GRACECLOSE_FINISHED, 0);
VALUE(GRACECLOSE_DELIVERED, 1);
VALUE(GRACECLOSE_QUIET, 2);
VALUE(GRACECLOSE_DETACH, 0);
VALUE(GRACECLOSE_RESET, 1);
VALUE(GRACECLOSE_EDGES, 1U);
VALUE(GRACECLOSE_OK, 0);
VALUE(GRACECLOSE_WAS_RESET, 1);
VALUE(GRACECLOSE_EXPIRED, 2);
VALUE(GRACECLOSE_FLOODED, 3);
VALUE(GRACECLOSE_ABORTED, 4);
VALUE(GRACECLOSE_INVALID, 5);
VALUE(GRACECLOSE_UNREAD, 1);
VALUE(GRACECLOSE_FIN, 2);
VALUE(GRACECLOSE_RST, 4);
VALUE(GRACECLOSE_REFUSE, 0);
VALUE(GRACECLOSE_OLDEST, 1);
#ifdef EPOLLIN
VALUE(GRACECLOSE_EPOLL, (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET));
#endif

/* The structures are complete, and zero is a value of each. */
extern struct graceclose_opts no_options;
struct graceclose_reaper_opts no_reaper_options;
struct graceclose_reaper_stats no_closes;
