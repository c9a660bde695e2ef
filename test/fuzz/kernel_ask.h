/*
 * kernel_ask.h - the calls of kernel.h that ask, and change nothing (but that
 * SO_ERROR takes the error)
 */
#ifndef TEST_KERNEL_ASK_H
#define TEST_KERNEL_ASK_H

#include <sys/socket.h>

int	kernel_getsockopt(int, int, int, void *, socklen_t *);
int	kernel_getpeername(int, struct sockaddr *, socklen_t *);
int	kernel_getsockname(int, struct sockaddr *, socklen_t *);
int	kernel_ioctl(int, unsigned long, int *);
int	kernel_fcntl(int, int);

#endif /* TEST_KERNEL_ASK_H */
