/* target.c - see target.h */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "replycheck/target.h"

/* True where it fits. */
static bool
copy(char *to, const char *from, size_t n)
{
	if (n == 0 || n >= TARGET_NAME)
		return false;
	memcpy(to, from, n);
	to[n] = '\0';
	return true;
}

/* No URL has these (RFC 3986, 2); a fragment is not for the server. */
static bool
unfit(const char *url)
{
	for (; *url != '\0'; url++)
		if (*url <= ' ' || *url >= 0x7f ||
		    strchr("\"\\#", *url) != NULL)
			return true;
	return false;
}

/* The rest of the URL behind that scheme, or NULL. */
static const char *
behind(const char *url, const char *scheme)
{
	size_t n = strlen(scheme);

	return strncasecmp(url, scheme, n) == 0 ? url + n : NULL;
}

/* getaddrinfo(3) would take 65536 for 0. */
static bool
is_port(const char *s)
{
	char *end;
	long n = strtol(s, &end, 10);

	return isdigit((unsigned char)*s) && *end == '\0' && n > 0 &&
	    n <= 65535;
}

/* host, [host], host:port or [host]:port, of n bytes. */
static bool
parse_authority(struct target *t, const char *s, size_t n)
{
	const char *end = s + n, *host = s, *port;

	if (*s == '[') {
		host = s + 1;
		if ((s = memchr(s, ']', n)) == NULL ||
		    !copy(t->host, host, (size_t)(s - host)))
			return false;
		port = s + 1;
	} else {
		port = memchr(s, ':', n);
		if (port == NULL)
			port = end;
		if (!copy(t->host, host, (size_t)(port - host)))
			return false;
	}
	if (port == end)
		return t->http && (t->tls ? copy(t->port, "443", 3) :
		    copy(t->port, "80", 2));
	return *port == ':' &&
	    copy(t->port, port + 1, (size_t)(end - port) - 1) &&
	    is_port(t->port);
}

int
target_parse(struct target *t, const char *url, const char **why)
{
	const char *rest;
	size_t n;

	memset(t, 0, sizeof(*t));
	*why = "give http://host:port/path, https or tcp://host:port";
	if ((rest = behind(url, "https://")) != NULL)
		t->http = t->tls = true;
	else if ((rest = behind(url, "http://")) != NULL)
		t->http = true;
	else if ((rest = behind(url, "tcp://")) == NULL)
		return -1;
	n = strcspn(rest, "/?");
	if (unfit(url) || memchr(rest, '@', n) != NULL ||
	    !parse_authority(t, rest, n))
		return -1;
	t->path = rest[n] != '\0' ? rest + n : "/";
	return 0;
}

/* Where a name has several addresses, somebody may listen at one alone. */
static int
reach(struct target *t, int timeout_ms)
{
	/* It limits connect(2) as well (socket(7)). */
	const struct timeval limit = { .tv_sec = timeout_ms / 1000 };
	struct addrinfo *a;
	int fd, error = 0;

	for (a = t->all; a != NULL; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
		if (fd != -1)
			(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit,
			    sizeof(limit));
		if (fd != -1 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			t->addr = a;
		else
			error = errno;
		if (fd != -1)
			(void)close(fd);
		if (t->addr != NULL)
			return 0;
	}
	errno = error;
	return -1;
}

int
target_find(struct target *t, int timeout_ms, const char **why)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	int error;

	if ((error = getaddrinfo(t->host, t->port, &hints, &t->all)) != 0) {
		*why = gai_strerror(error);
		return -1;
	}
	t->addr = t->all->ai_next == NULL ? t->all : NULL;
	if (t->addr == NULL && reach(t, timeout_ms) == -1) {
		*why = strerror(errno);
		return -1;
	}
	return 0;
}

void
target_free(struct target *t)
{
	if (t->all != NULL)
		freeaddrinfo(t->all);
	t->all = t->addr = NULL;
}
