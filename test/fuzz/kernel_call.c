/* kernel_call.c - see kernel_call.h */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fuzz/kernel.h"
#include "fuzz/kernel_call.h"
#include "fuzz/kernel_net.h"

/* One of the errors, or 0. */
static int
failure(const int *errors)
{
	unsigned n = 0;

	while (errors != NULL && errors[n] != 0)
		n++;
	if (n == 0)
		return 0;
	kernel.failures++;
	n = kernel_draw(n);
	kernel_trace("  fails: %s\n", strerror(errors[n]));
	return errors[n];
}

int
kernel_pass_as(const char *call, const int *errors)
{
	unsigned b;

	kernel_trace("%s at %lld\n", call, (long long)kernel.now);
	(void)call;
	kernel_must(++kernel.calls < KERNEL_CALLS_MAX);
	if (kernel.endless && kernel_forsaken())
		kernel_end_it();
	b = kernel_draw(256);
	if (b % KERNEL_EVENTS != KERNEL_NOTHING)
		kernel_happen(b % KERNEL_EVENTS);
	return b / KERNEL_EVENTS < 14 ? 0 : failure(errors);
}

int
kernel_enter_as(const char *call, int fd, const int *errors)
{
	kernel_must(fd == KERNEL_FD || kernel.liar);
	kernel_must(kernel.closes == 0);
	switch (kernel.kind) {
	case KERNEL_CLOSED:
	case KERNEL_PATH:
		return EBADF;
	case KERNEL_PIPE:
		return ENOTSOCK;
	}
	return kernel_pass_as(call, errors);
}

int
kernel_answer(int error, int value)
{
	if (error == 0)
		return value;
	errno = error;
	return -1;
}

int
kernel_take_error(void)
{
	int error = kernel.error;

	kernel.consumed += error != 0;
	kernel.heard |= kernel.watched && kernel.torn && error == EPIPE;
	kernel.error = 0;
	kernel.muddled |= kernel.icmp;
	kernel.icmp = false;
	return error;
}

void
kernel_tell_fin(void)
{
	kernel.news |= kernel.peer_fin && !kernel.fin_told;
	kernel.fin_told = kernel.peer_fin;
}
