/*
 * kernel_lie.h - answers that are arbitrary, of a kernel.h that is a liar:
 * three of four
 */
#ifndef TEST_KERNEL_LIE_H
#define TEST_KERNEL_LIE_H

#include <sys/types.h>
#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>

bool	kernel_lies(void);		/* so is the next answer */

int	kernel_any(void);		/* small, large, negative */
int	kernel_any_errno(void);
int	kernel_any_option(void *, socklen_t);	/* 0, or an errno value */
ssize_t	kernel_any_input(void *, size_t);	/* as recv(2) returns it */

#endif /* TEST_KERNEL_LIE_H */
