/*
 * no_accept.c - accept(2) that fails for half a second; for LD_PRELOAD
 *
 * The time begins with the first call.  Each call fails with the next of the
 * errors of accept(2) that a server must survive.  The first call that is let
 * through prints how many failed.
 */
#include <sys/socket.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define FAIL_MS	500

/* Other names, as <sys/socket.h> may declare these with other types. */
int	no_accept(int, struct sockaddr *, socklen_t *) __asm__("accept");
int	no_accept4(int, struct sockaddr *, socklen_t *, int)
	    __asm__("accept4");

static atomic_llong	began;
static atomic_ulong	failures;
static atomic_bool	printed;

static long long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
fails(void)
{
	static const int errors[] = { EMFILE, ENFILE, ECONNABORTED, EINTR,
	    ENOBUFS, ENOMEM, EPROTO };
	long long none = 0, now = now_ms();

	atomic_compare_exchange_strong(&began, &none, now);
	if (now - began < FAIL_MS) {
		errno = errors[failures++ %
		    (sizeof(errors) / sizeof(errors[0]))];
		return 1;
	}
	if (!atomic_exchange(&printed, 1))
		fprintf(stderr, "accept failed %lu times\n", failures);
	return 0;
}

int
no_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return no_accept4(fd, addr, len, 0);
}

int
no_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int (*next)(int, struct sockaddr *, socklen_t *, int);

	if (fails())
		return -1;
	*(void **)&next = dlsym(RTLD_NEXT, "accept4");
	return next(fd, addr, len, flags);
}
