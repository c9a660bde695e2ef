/*
 * kernel_deed.h - the calls of kernel.h that change something
 */
#ifndef TEST_KERNEL_DEED_H
#define TEST_KERNEL_DEED_H

#include <sys/socket.h>

int	kernel_setsockopt(int, int, int, const void *, socklen_t);
int	kernel_connect(int, const struct sockaddr *, socklen_t);
int	kernel_shutdown(int, int);
int	kernel_socket(int, int, int);
int	kernel_close(int);

#endif /* TEST_KERNEL_DEED_H */
