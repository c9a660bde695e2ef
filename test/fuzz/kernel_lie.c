/* kernel_lie.c - see kernel_lie.h */
#include <errno.h>
#include <string.h>

#include "fuzz/kernel.h"
#include "fuzz/kernel_call.h"
#include "fuzz/kernel_lie.h"

bool
kernel_lies(void)
{
	return kernel.liar && kernel_draw(4) != 0;
}

int
kernel_any(void)
{
	static const int numbers[] = { 0, 1, 2, -1, 4096, INT32_MAX,
	    INT32_MIN };
	unsigned n = kernel_draw(64);

	return n < 7 ? numbers[n] : (int)(n << 24 | kernel_draw(256) << 16 |
	    kernel_draw(256) << 8 | kernel_draw(256));
}

int
kernel_any_errno(void)
{
	static const int errors[] = { EINTR, EAGAIN, ENOBUFS, ENOMEM, EBUSY,
	    ENOPROTOOPT, EMFILE, EBADF, ENOTSOCK, EOPNOTSUPP, ENOTCONN,
	    ECONNRESET, EPIPE, ETIMEDOUT, EINVAL, EFAULT, EIO, EPERM };

	return kernel_one_of(errors);
}

int
kernel_any_option(void *value, socklen_t len)
{
	uint8_t *p = value;
	socklen_t i;

	if (kernel_draw(3) == 0)
		return kernel_any_errno();
	memset(p, kernel_draw(4) == 0 ? (int)kernel_draw(256) : 0, len);
	for (i = 0; i < 4 && i < len; i++)
		p[i] = (uint8_t)kernel_draw(256);
	return 0;
}

ssize_t
kernel_any_input(void *buf, size_t size)
{
	size_t n = (size_t)kernel_any();

	if (kernel_draw(2))
		return kernel_answer(kernel_any_errno(), 0);
	n = n < size ? n : size;
	if (buf != NULL)
		memset(buf, (int)kernel_draw(256), n < 64 ? n : 64);
	kernel.discarded += (int64_t)n;
	return (ssize_t)n;
}
