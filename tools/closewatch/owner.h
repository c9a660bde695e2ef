/*
 * owner.h - whether a connection is of the process that is asked for
 *
 * That is: the socket of one side of it is in the process; or the process
 * listens at the server's address and port.  The kernel says which socket a
 * connection has (diag.h), and the process which it holds (holder.h).  Both
 * are asked at the first segments of a connection, and may be asked too late.
 */
#ifndef OWNER_H
#define OWNER_H

#include "closewatch/conns.h"
#include "closewatch/holder.h"
#include "closewatch/privileges.h"

struct owner;

/*
 * Before the capture is open, and before privileges are dropped.  NULL: *why
 * says in one line why.
 */
struct owner *owner_open(const struct holder_who *who,
	    const struct privileges_user *user, const char **why);
void	owner_close(struct owner *o);

/* A conns_judge; o is a struct owner. */
enum conns_whose
	owner_judge(void *o, const struct flow *f, enum conns_whose side[2]);

#endif /* OWNER_H */
