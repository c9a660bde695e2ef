/* asked.c - see asked.h */
#include <sys/types.h>
#include <sys/socket.h>

#include <pthread.h>
#include <unistd.h>

#include "replycheck/asked.h"
#include "support/util.h"

#define AT_ONCE	2

struct server {
	int		  listener, requests;
	void		(*serve)(int fd, const void *arg);
	const void	 *arg;
};

void
asked_drain(int fd)
{
	static char buf[65536];

	(void)shutdown(fd, SHUT_WR);
	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
}

static void *
run(void *arg)
{
	const struct server *s = arg;
	int fd, i;

	for (i = 0; i < s->requests; i++) {
		fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		s->serve(fd, s->arg);
		(void)close(fd);
	}
	return NULL;
}

void
asked(struct crowd *c, const struct request *r, int requests,
    void (*serve)(int, const void *), const void *arg)
{
	struct server s = { t_listen(T_IPV4), requests, serve, arg };
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	pthread_t thread;

	ck_assert_int_eq(getsockname(s.listener, (struct sockaddr *)&addr,
	    &len), 0);
	t_thread(&thread, run, &s);
	crowd_run(c, r, (struct sockaddr *)&addr, len, requests, AT_ONCE,
	    NULL);
	t_join(thread);
	t_close(s.listener);
}
