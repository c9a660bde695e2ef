/* watch.c - see watch.h */
#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "closewatch/ladder.h"
#include "closewatch/live.h"
#include "replycheck/crowd.h"
#include "replycheck/watch.h"

static bool
is_loopback(const struct sockaddr *addr)
{
	struct sockaddr_in sin;

	if (addr->sa_family != AF_INET)
		return false;
	memcpy(&sin, addr, sizeof(sin));
	return ntohl(sin.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static in_port_t
port_of(const struct sockaddr *addr)
{
	struct sockaddr_in sin;

	memcpy(&sin, addr, sizeof(sin));
	return ntohs(sin.sin_port);
}

static bool
draw(struct live *live, in_port_t client, in_port_t server)
{
	const struct live_segment *segments;
	struct ladder_row *rows;
	char story[FLOW_STORY_SIZE];
	size_t n;

	segments = live_segments(live, client, server, &n);
	if (n == 0 || (rows = calloc(n, sizeof(*rows))) == NULL)
		return false;
	printf("\nA lost reply, from port %u:\n\n", (unsigned)client);
	ladder_draw(stdout, rows, ladder_rows(rows, segments, n, client),
	    segments[0].s.us, ladder_style(stdout, false));
	printf("\n%s\n", ladder_story(segments, n, story));
	free(rows);
	return true;
}

static bool
ask(struct live *live, const struct request *r, const struct sockaddr *addr,
    socklen_t len, int tries, const char **why)
{
	struct crowd c;
	int i;

	for (i = 0; i < tries; i++) {
		live_forget(live);
		crowd_run(&c, r, addr, len, 1, 1, NULL);
		if (c.simple == 1)
			continue;
		*why = strerror(c.error);
		if (crowd_asked(&c) == 0)
			return false;
		*why = "the segments were not captured";
		return draw(live, c.port, port_of(addr));
	}
	printf("\nNo reply was lost of %d that were watched, one at a time.\n",
	    tries);
	return true;
}

bool
watch(const struct request *r, const struct sockaddr *addr, socklen_t len,
    int tries, const char **why)
{
	struct live *live;
	bool done;

	*why = "the server is not at 127.0.0.1, and no other is watched";
	if (!is_loopback(addr) || (live = live_open(NULL, why)) == NULL)
		return false;
	done = ask(live, r, addr, len, tries, why);
	live_close(live);
	return done;
}
