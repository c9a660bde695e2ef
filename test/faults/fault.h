/*
 * fault.h - system calls of the library that fail as a test plans it
 *
 * The linker's --wrap leads every call of the library to this module, which may
 * let it fail.  Calls of the tests come here too, and never fail.  A thread
 * belongs to the library between fault_enter() and fault_leave().  A thread
 * that the library starts belongs to it for its whole life.
 */
#ifndef TEST_FAULT_H
#define TEST_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/* What is asked of the kernel; one call may put several questions. */
enum fault_call {
	FAULT_NONE,
	FAULT_RECV,		/* of the connection */
	FAULT_RECV_NOTICE,	/* MSG_ERRQUEUE */
	FAULT_RECV_DIAG,	/* sock_diag(7), about MPTCP */
	FAULT_SEND_DIAG,
	FAULT_SOCKET_DIAG,
	FAULT_SO_TYPE,
	FAULT_SO_PROTOCOL,
	FAULT_SO_DOMAIN,
	FAULT_SO_ERROR,
	FAULT_SO_ACCEPTCONN,
	FAULT_SO_LINGER,
	FAULT_TCP_INFO,
	FAULT_TCP_ZEROCOPY,
	FAULT_MPTCP_INFO,
	FAULT_SIOCOUTQ,
	FAULT_FIONREAD,
	FAULT_GETPEERNAME,
	FAULT_GETSOCKNAME,
	FAULT_FCNTL,
	FAULT_SHUT_WR,
	FAULT_SHUT_RD,		/* or both ways */
	FAULT_CONNECT,		/* to AF_UNSPEC */
	FAULT_CLOSE,		/* of the connection */
	FAULT_CLOSE_OTHER,
	FAULT_POLL,		/* with a timeout of 0 */
	FAULT_POLL_WAIT,
	FAULT_EPOLL_CREATE,
	FAULT_EPOLL_ADD,
	FAULT_EPOLL_DEL,
	FAULT_EPOLL_WAIT,
	FAULT_EVENTFD,
	FAULT_PIPE,
	FAULT_READ,
	FAULT_WRITE,
	FAULT_MALLOC,
	FAULT_CALLOC,
	FAULT_MMAP,
	FAULT_MADVISE,
	FAULT_THREAD,
	FAULT_LOCK,		/* and its condition variable */
	FAULT_CALLS
};

/*
 * How a call fails: an errno value, or one of these.  close(2) and
 * write(2) do their work before they fail.
 */
#define FAULT_EMPTY	(-1)	/* it says that nothing came */
#define FAULT_SHORT	(-2)	/* a part of the answer */
#define FAULT_NO_RDHUP	(-3)	/* no POLLRDHUP in the answer */
#define FAULT_TINY	(-5)	/* an int of it, as qemu-user 7.2 has it */
#define FAULT_NOWHERE	(-6)	/* EFAULT, where it gives no buffer */
#define FAULT_ACT	(-4)	/* the action of the plan precedes the call */

#define FAULT_ALWAYS	(~0U)

struct fault {
	enum fault_call	call;
	int		how;
	unsigned	from, to;	/* of these calls; the first is 1 */
};

/* From now on, counting anew; fd is the connection. */
void		 fault_plan(int fd, const struct fault *, size_t);
/* What FAULT_ACT does, in the thread that calls. */
void		 fault_action(void (*)(int), int);
void		 fault_enter(void);
void		 fault_leave(void);

unsigned	 fault_calls(enum fault_call);	/* since the plan was made */
unsigned	 fault_met(void);		/* those that went by the plan */
unsigned	 fault_stray(void);		/* closes of what was not open */
const char	*fault_name(enum fault_call);

#endif /* TEST_FAULT_H */
