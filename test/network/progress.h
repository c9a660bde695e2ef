/*
 * progress.h - when a connection made progress, by the log of the link
 *
 * t_link_proof() says how far a connection has come.  The idle limit depends on
 * when it came further: that is here.
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
					   UINT64_MAX: the log is not whole */
	bool		fin_came;	/* its FIN, in any order */
	int64_t		late_us;	/* payload last did, or an early FIN */
	int64_t		rst_us;		/* our first RST left */
	int64_t		any_rst_us;	/* before it, the peer's last came */
};

/*
 * Reads the log of the link.  Where acks is false only data is progress.  The
 * time of what did not happen is INT64_MAX (rst_us) or INT64_MIN (the others).
 */
void	progress_read(struct progress *, bool acks);

/*
 * The last progress until then, at least `from`.  Firm: our kernel had it by
 * then; otherwise it may be later than what our kernel could see.
 */
int64_t	progress_last(const struct progress *, bool firm, int64_t from,
	    int64_t until_us);
/* The longest time without firm progress between. */
int64_t	progress_gap(const struct progress *, int64_t from, int64_t until_us);

#endif /* TEST_PROGRESS_H */
