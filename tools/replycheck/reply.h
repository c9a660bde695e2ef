/*
 * reply.h - is the reply whole?
 *
 * HTTP/1.1 (RFC 9112, 6.3) says where a message ends: after Content-Length
 * bytes, after the last chunk, or where the connection ends.  Of another
 * protocol only the end of the connection is known.
 */
#ifndef REPLY_H
#define REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLY_LINE	((size_t)1024)	/* more of a line is not looked at */

enum reply_part {
	REPLY_STATUS,		/* the status line */
	REPLY_FIELDS,
	REPLY_COUNTED,		/* left: so many bytes of the body */
	REPLY_SIZE,		/* of a chunk */
	REPLY_CHUNK,		/* left: so many bytes, and an empty line */
	REPLY_TRAILER,
	REPLY_REST,		/* until the connection ends */
	REPLY_COMPLETE,
	REPLY_BROKEN		/* a length that is none: it is never whole */
};

struct reply {
	enum reply_part	part;
	int		status;		/* of HTTP; 0: none yet */
	uint64_t	bytes;		/* in all */
	uint64_t	left;
	bool		chunked, counted, broken;
	size_t		length;		/* of the line */
	char		line[REPLY_LINE];
};

void	reply_begin(struct reply *r, bool http);
void	reply_take(struct reply *r, const char *buf, size_t n);

/* ended: the server has ended its side in order. */
bool	reply_whole(const struct reply *r, bool ended);

#endif /* REPLY_H */
