/*
 * progress.h - when a connection made progress, as the wire saw it
 *
 * t_link_proof() says how far a connection has come; limits without progress
 * ask when it came further.
 */
#ifndef TEST_PROGRESS_H
#define TEST_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	bool		whole;		/* the log has its beginning */
	size_t		nsigns;
	uint64_t	came;		/* bytes of the peer's, in any order;
					   the highest number: nobody knows */
	bool		fin_came;	/* its FIN, in any order */
	int64_t		late_us;	/* payload last did, or an early FIN */
	int64_t		rst_us;		/* our first RST left */
	int64_t		any_rst_us;	/* before it, the peer's last came */
};

/*
 * Reads the log of the wire.  Where acks is false only data is progress.
 * Times that never were are INT64_MIN or INT64_MAX, whichever says so.
 */
void	progress_read(struct progress *, bool acks);

/*
 * The last progress until then, at least `from`.  Firm: nobody can have missed
 * it; otherwise it may be later than what one could see.
 */
int64_t	progress_last(const struct progress *, bool firm, int64_t from,
	    int64_t until_us);
/* The longest time without firm progress between. */
int64_t	progress_gap(const struct progress *, int64_t from, int64_t until_us);

#endif /* TEST_PROGRESS_H */
