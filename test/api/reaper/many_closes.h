/*
 * many_closes.h - closes and connections in numbers, for threads as well
 */
#ifndef TEST_MANY_CLOSES_H
#define TEST_MANY_CLOSES_H

#include <netinet/in.h>

#include <graceclose.h>

#include "api/reaper/one_reaper.h"

/* A test case each of whose tests has a network of its own. */
TCase	*case_in_own_network(Suite *, const char *);

/* Options: this timeout, and what then. */
struct graceclose_opts
	 timed(int on_expiry, int timeout_ms);

void	 flush_many(void);
uint64_t count_over(void);	/* reads the counters: closes that ended */

/* A thread may call these: they assert nothing, and return -1 on failure. */
int	 try_submit(struct t_verdict *, int fd,
	    const struct graceclose_opts *);
int	 try_listen(struct sockaddr_in *, const char *host);
int	 try_connect(struct t_pair *, int lfd, const struct sockaddr_in *);
int	 try_pair(struct t_pair *);	/* AF_UNIX: cheap */
void	 send_bytes(int fd, size_t n);

#endif /* TEST_MANY_CLOSES_H */
