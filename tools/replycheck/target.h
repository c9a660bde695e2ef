/*
 * target.h - the server that is asked, from its URL
 */
#ifndef TARGET_H
#define TARGET_H

#include <netdb.h>
#include <stdbool.h>

#define TARGET_NAME	256

struct target {
	bool		 http, tls;		/* http, https; tcp: neither */
	char		 host[TARGET_NAME];	/* without the [] of IPv6 */
	char		 port[TARGET_NAME];
	const char	*path;			/* in the URL */
	struct addrinfo	*all;
	struct addrinfo	*addr;			/* one of them */
};

/*
 * From http://host:port/path or https, or tcp://host:port for another protocol.
 * The port is 80 or 443 where there is none, and the path /.  Returns 0, or -1
 * and *why: a line that says what is wrong.
 */
int	target_parse(struct target *t, const char *url, const char **why);

/*
 * Finds the address.  Where there are several it connects once to each, until
 * one takes the connection; each has timeout_ms.  Returns as target_parse().
 */
int	target_find(struct target *t, int timeout_ms, const char **why);

void	target_free(struct target *t);

#endif /* TARGET_H */
