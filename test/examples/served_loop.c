/*
 * served_loop.c - the event loop that the example of graceclose_begin(3) lacks
 *
 * check_flood.sh compiles it with PAGE, the file with that example.  Any line
 * is a request.  At most CONNS connections are open, those being closed
 * included.
 */
#include <sys/queue.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef PAGE
#include PAGE
#else				/* for clang-tidy */
#include <sys/epoll.h>

#include <graceclose.h>

struct conn {
	struct graceclose	gc;
	int			fd;
};
void	conn_end(int epfd, struct conn *c);
void	conn_turn(int epfd, struct conn *c);
int	conn_close(int epfd, struct conn *c);
void	loop_timer(struct conn *c, int ms);
void	loop_forget(struct conn *c);
#endif

#define CONNS	500
#define LIFE_MS	10000

struct served {
	struct conn		conn;	/* first, as the example knows this */
	int			closing;
	int64_t			came, due;	/* ms */
	TAILQ_ENTRY(served)	list;		/* the oldest first */
};
static TAILQ_HEAD(all, served) all = TAILQ_HEAD_INITIALIZER(all);
static int n_served;

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
loop_timer(struct conn *c, int ms)
{
	((struct served *)c)->due = ms == -1 ? INT64_MAX : now_ms() + ms;
}

void
loop_forget(struct conn *c)
{
	struct served *s = (struct served *)c;

	TAILQ_REMOVE(&all, s, list);
	n_served--;
	free(s);
}

static void
cut(int epfd, struct served *s)
{
	if (s->closing) {
		conn_end(epfd, &s->conn);
		return;
	}
	abort_close(s->conn.fd);
	loop_forget(&s->conn);
}

static void
event(int epfd, struct served *s)
{
	static const char answer[10000];
	char line[256];
	ssize_t n;

	if (s->closing) {
		conn_turn(epfd, &s->conn);
		return;
	}
	n = recv(s->conn.fd, line, sizeof(line), MSG_DONTWAIT);
	if (n > 0 && memchr(line, '\n', (size_t)n) == NULL)
		return;
	if (n <= 0 || send(s->conn.fd, answer, sizeof(answer), MSG_DONTWAIT |
	    MSG_NOSIGNAL) != sizeof(answer)) {
		cut(epfd, s);
		return;
	}
	s->closing = 1;
	if (conn_close(epfd, &s->conn) == -1)
		err(1, "graceclose_begin");
}

static void
admit(int epfd, int listener)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct served *s = ev.data.ptr = calloc(1, sizeof(*s));

	if (s == NULL)
		err(1, NULL);
	if ((s->conn.fd = accept(listener, NULL, NULL)) == -1) {
		free(s);
		if (n_served > 0 && (errno == EMFILE || errno == ENFILE))
			cut(epfd, TAILQ_FIRST(&all));
		poll(NULL, 0, 10);
		return;
	}
	s->came = now_ms();
	s->due = INT64_MAX;
	TAILQ_INSERT_TAIL(&all, s, list);
	if (++n_served > CONNS)
		cut(epfd, TAILQ_FIRST(&all));
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, s->conn.fd, &ev) == -1)
		err(1, "epoll_ctl");
}

static int
timers(int epfd)
{
	int64_t now = now_ms(), next = now + 1000;
	struct served *s, *after;

	for (s = TAILQ_FIRST(&all); s != NULL; s = after) {
		after = TAILQ_NEXT(s, list);
		if (now - s->came > LIFE_MS)
			cut(epfd, s);
		else if (s->due <= now)
			conn_turn(epfd, &s->conn);
	}
	TAILQ_FOREACH(s, &all, list)
		if (s->due < next)
			next = s->due;
	return next < now ? 0 : (int)(next - now);
}

static void
turn(int epfd, int listener)
{
	struct epoll_event events[64];
	int n = epoll_wait(epfd, events, 64, timers(epfd)), admits = 0;

	for (int i = 0; i < n; i++)
		if (events[i].data.ptr == NULL)
			admits = 1;
		else
			event(epfd, events[i].data.ptr);
	if (admits)		/* last, as it may free any connection */
		admit(epfd, listener);
}

int
main(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	struct epoll_event ev = { .events = EPOLLIN };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	if (bind(listener, (struct sockaddr *)&sin, len) == -1 ||
	    listen(listener, SOMAXCONN) == -1 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) == -1 ||
	    epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev) == -1)
		err(1, "listen");
	printf("listening on 127.0.0.1 port %d\n", ntohs(sin.sin_port));
	fflush(stdout);
	for (;;)
		turn(epfd, listener);
}
