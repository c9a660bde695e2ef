/*
 * crowd.h - a number of requests, at most so many at once, and what became of
 * them
 */
#ifndef CROWD_H
#define CROWD_H

#include "replycheck/attempt.h"

#define CROWD_MOST	100	/* at once */
#define CROWD_STATUSES	8	/* of HTTP, that are told apart */

struct crowd {
	int	number;			/* of requests that are over */
	int	ends[ATTEMPT_ENDS];
	int	simple;			/* a simple client has the reply */
	int	send_failed;
	int	late;			/* all but a block was sent before */
	int	broken;			/* of the resets: by an error of TLS */
	int	error;			/* errno of the first unconnected */
	in_port_t port;			/* of the last client */
	struct crowd_status {
		int	status, number;
	}	statuses[CROWD_STATUSES];
};

/* Calls told, if it is not NULL, after each; it may be slow. */
void	crowd_run(struct crowd *c, const struct request *r,
	    const struct sockaddr *addr, socklen_t len, int number,
	    int at_once, void (*told)(const struct crowd *));

/* Connections that were made, and how many of the replies are not whole. */
int	crowd_asked(const struct crowd *c);
int	crowd_lost(const struct crowd *c);

#endif /* CROWD_H */
