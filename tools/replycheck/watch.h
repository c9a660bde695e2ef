/*
 * watch.h - the segments of a request whose reply is lost, as a ladder
 */
#ifndef WATCH_H
#define WATCH_H

#include <sys/socket.h>

#include <stdbool.h>

#include "replycheck/attempt.h"

/*
 * Asks at most so many times, one request at a time, until this client or a
 * simple one loses a reply; then draws what went over loopback.  False: it did
 * not capture that, and *why is a line that says so.
 */
bool	watch(const struct request *r, const struct sockaddr *addr,
	    socklen_t len, int tries, const char **why);

#endif /* WATCH_H */
