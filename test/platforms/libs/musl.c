/*
 * musl.c - what the suites use of glibc, for musl
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define NAME(e)	{ e, #e }
static const struct {
	int		 value;
	const char	*name;
} names[] = {
	NAME(EACCES), NAME(EADDRINUSE), NAME(EADDRNOTAVAIL),
	NAME(EAFNOSUPPORT), NAME(EAGAIN), NAME(EALREADY), NAME(EBADF),
	NAME(EBADMSG), NAME(EBUSY), NAME(ECANCELED), NAME(ECONNABORTED),
	NAME(ECONNREFUSED), NAME(ECONNRESET), NAME(EDEADLK),
	NAME(EDESTADDRREQ), NAME(EEXIST), NAME(EFAULT), NAME(EHOSTUNREACH),
	NAME(EINPROGRESS), NAME(EINTR), NAME(EINVAL), NAME(EIO),
	NAME(EISCONN), NAME(ELOOP), NAME(EMFILE), NAME(EMSGSIZE),
	NAME(ENETDOWN), NAME(ENETUNREACH), NAME(ENFILE), NAME(ENOBUFS),
	NAME(ENODEV), NAME(ENOENT), NAME(ENOMEM), NAME(ENOPROTOOPT),
	NAME(ENOSPC), NAME(ENOSYS), NAME(ENOTCONN), NAME(ENOTSOCK),
	NAME(ENOTSUP), NAME(ENOTTY), NAME(ENXIO), NAME(EPERM), NAME(EPIPE),
	NAME(EPROTO), NAME(EPROTONOSUPPORT), NAME(ERANGE), NAME(ESRCH),
	NAME(ETIMEDOUT)
};

/* NULL where the table has no name. */
const char *
strerrorname_np(int e)
{
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].value == e)
			return names[i].name;
	return NULL;
}
