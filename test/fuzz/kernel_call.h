/*
 * kernel_call.h - the system calls of kernel.h
 *
 * Where KERNEL_CALLS is defined before this file is included (again) the names
 * of the calls are those of this kernel from there on.
 */
#ifndef TEST_KERNEL_CALL_H
#define TEST_KERNEL_CALL_H

/* What declares them comes before their new names. */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/kernel_ask.h"
#include "fuzz/kernel_deed.h"
#include "fuzz/kernel_read.h"
#include "fuzz/kernel_wait.h"

#define KERNEL_EPFD	8		/* descriptors of the library's own */
#define KERNEL_NLFD	9

/*
 * What each call begins with: something happens, or not, and the call may fail
 * with one of these errors (0 is the last, NULL: none).  Returns the errno
 * value, or 0.  kernel_enter: the descriptor has to be an open socket.
 */
#define kernel_pass(errors)		kernel_pass_as(__func__, errors)
#define kernel_enter(fd, errors)	kernel_enter_as(__func__, fd, errors)
int	kernel_pass_as(const char *call, const int *errors);
int	kernel_enter_as(const char *call, int fd, const int *errors);

/* What it ends with: -1 and errno, or the value. */
int	kernel_answer(int error, int value);

/* What several calls do. */
int	kernel_take_error(void);
void	kernel_tell_fin(void);		/* which is news once */

#endif /* TEST_KERNEL_CALL_H */

#ifdef KERNEL_CALLS
#define recv		kernel_recv
#define send		kernel_send
#define recvmsg		kernel_recvmsg
#define sendmsg		kernel_sendmsg
#define getsockopt	kernel_getsockopt
#define setsockopt	kernel_setsockopt
#define getpeername	kernel_getpeername
#define getsockname	kernel_getsockname
#define ioctl		kernel_ioctl
#define fcntl		kernel_fcntl
#define poll		kernel_poll
#define epoll_create1	kernel_epoll_create1
#define epoll_ctl	kernel_epoll_ctl
#define epoll_wait	kernel_epoll_wait
#define connect		kernel_connect
#define shutdown	kernel_shutdown
#define socket		kernel_socket
#define close		kernel_close
#define clock_gettime	kernel_clock_gettime
#define nanosleep	kernel_nanosleep
#endif
