/*
 * kernel_wait.h - the calls of kernel.h that wait, and its clock
 */
#ifndef TEST_KERNEL_WAIT_H
#define TEST_KERNEL_WAIT_H

#include <sys/types.h>
#include <sys/epoll.h>

#include <poll.h>
#include <stdbool.h>
#include <time.h>

int	kernel_poll(struct pollfd *, nfds_t, int);
int	kernel_epoll_create1(int);
int	kernel_epoll_ctl(int, int, int, struct epoll_event *);
int	kernel_epoll_wait(int, struct epoll_event *, int, int);
int	kernel_clock_gettime(clockid_t, struct timespec *);
int	kernel_nanosleep(const struct timespec *, struct timespec *);

/* For the caller of the library, a loop: by edges, or by level (0: nothing). */
void	kernel_wait(bool edges, short events, int timeout_ms);

/* Whether such a wait, for input, ends at once. */
bool	kernel_wakes(bool edges);

#endif /* TEST_KERNEL_WAIT_H */
