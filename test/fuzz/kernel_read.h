/*
 * kernel_read.h - the calls of kernel.h that take or give bytes
 */
#ifndef TEST_KERNEL_READ_H
#define TEST_KERNEL_READ_H

#include <sys/types.h>
#include <sys/socket.h>

#include <stddef.h>

ssize_t	kernel_recv(int, void *, size_t, int);
ssize_t	kernel_send(int, const void *, size_t, int);
ssize_t	kernel_recvmsg(int, struct msghdr *, int);
ssize_t	kernel_sendmsg(int, const struct msghdr *, int);

#endif /* TEST_KERNEL_READ_H */
