/*
 * wait.h - waits for a state of a socket; fails the test beyond T_LIMIT_MS
 */
#ifndef TEST_WAIT_H
#define TEST_WAIT_H

#include <stdint.h>

int		 t_state(int);			/* tcpi_state */
int		 t_outq(int);			/* SIOCOUTQ */
int		 t_inq(int);			/* SIOCINQ */

void		 t_wait_state(int, int);	/* TCP_CLOSE_WAIT and so on */
int		 t_wait_poll(int, int);		/* the revents */
void		 t_wait_readable(int);
void		 t_wait_dead(int);		/* RST or FINs: POLLHUP */
void		 t_wait_reset(int);		/* POLLERR */
void		 t_wait_outq(int, int);		/* SIOCOUTQ at this value */
void		 t_wait_inq(int, int);		/* SIOCINQ at least this */

/* One poll(2) until that t_now_ms: 1 where the events came.  Asserts nothing. */
int		 t_ready(int, short events, int64_t end_ms);

#endif /* TEST_WAIT_H */
