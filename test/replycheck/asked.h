/*
 * asked.h - a server in a thread, which the crowd asks
 */
#ifndef TEST_ASKED_H
#define TEST_ASKED_H

#include "replycheck/crowd.h"

/*
 * The crowd asks so many times.  Each connection is served by the function, in
 * the thread, which closes it then; it asserts nothing.
 */
void	asked(struct crowd *c, const struct request *r, int requests,
	    void (*serve)(int fd, const void *arg), const void *arg);

/* For serve: the server's FIN, and the rest of what the client sends. */
void	asked_drain(int fd);

#endif /* TEST_ASKED_H */
