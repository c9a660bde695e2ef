/*
 * readers.h - threads that read at the peer, at once, later or slowly
 */
#ifndef TEST_READERS_H
#define TEST_READERS_H

#include <pthread.h>
#include <stdint.h>

#include "support/transfer.h"

/*
 * Reads everything, then closes the descriptor when `close` is set.
 * t_reader_later: begins `after_ms` from now.
 * t_reader_slow: takes 8192 bytes every 40 ms, and sends its FIN at the end.
 */
struct t_reader {
	pthread_t	 thread;
	struct t_got	 got;
	int		 fd;
	int		 close;
	int		 after_ms;
	int64_t		 done_ms;	/* t_now_ms at EOF */
};
void		 t_reader(struct t_reader *, int, int);
void		 t_reader_later(struct t_reader *, int, int);
void		 t_reader_slow(struct t_reader *, int);
struct t_got	 t_reader_join(struct t_reader *);

/* For a thread: sends from *(int *)arg until send(2) fails. */
void		*t_flood(void *);

#endif /* TEST_READERS_H */
