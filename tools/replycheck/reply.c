/* reply.c - see reply.h */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "replycheck/reply.h"

void
reply_begin(struct reply *r, bool http)
{
	memset(r, 0, sizeof(*r));
	r->part = http ? REPLY_STATUS : REPLY_REST;
}

bool
reply_whole(const struct reply *r, bool ended)
{
	return r->part == REPLY_COMPLETE ||
	    (r->part == REPLY_REST && ended && r->bytes > 0);
}

/* The value of a field of that name, without the space before it; or NULL. */
static const char *
value_of(const char *line, const char *name)
{
	size_t n = strlen(name);

	if (strncasecmp(line, name, n) != 0 || line[n] != ':')
		return NULL;
	return line + n + 1 + strspn(line + n + 1, " \t");
}

/* Of "HTTP/1.1 200 OK"; 0: that is no status line. */
static int
status_of(const char *line)
{
	const char *code = strchr(line, ' ');
	long n;

	if (strncmp(line, "HTTP/", 5) != 0 || code == NULL)
		return 0;
	n = strtol(code, NULL, 10);
	return n >= 100 && n <= 999 ? (int)n : 0;
}

/* True where s is a number; behind one of base 16 there may be more (`;'). */
static bool
number(const char *s, int base, uint64_t *n)
{
	char *end;

	if (!isxdigit((unsigned char)*s))
		return false;
	errno = 0;
	*n = strtoull(s, &end, base);
	s = end + strspn(end, " \t");
	return end[0] != 'x' && errno == 0 &&
	    (*s == '\0' || (base == 16 && *s == ';'));
}

/* The last coding of the list decides. */
static bool
ends_chunked(const char *list)
{
	const char *last = strrchr(list, ',');

	last = last != NULL ? last + 1 : list;
	last += strspn(last, " \t");
	return strncasecmp(last, "chunked", 7) == 0;
}

static void
take_field(struct reply *r)
{
	const char *value;

	if ((value = value_of(r->line, "Content-Length")) != NULL) {
		r->broken |= !number(value, 10, &r->left);
		r->counted = true;
	} else if ((value = value_of(r->line, "Transfer-Encoding")) != NULL) {
		r->chunked = ends_chunked(value);
	}
}

/* What comes behind the fields (RFC 9112, 6.3). */
static void
end_fields(struct reply *r)
{
	if (r->status >= 100 && r->status < 200) {
		r->part = REPLY_STATUS;		/* the final one follows */
		r->chunked = r->counted = r->broken = false;
	} else if (r->status == 204 || r->status == 304) {
		r->part = REPLY_COMPLETE;
	} else if (r->chunked) {
		r->part = REPLY_SIZE;
	} else if (r->broken) {
		r->part = REPLY_BROKEN;
	} else if (r->counted) {
		r->part = r->left > 0 ? REPLY_COUNTED : REPLY_COMPLETE;
	} else {
		r->part = REPLY_REST;
	}
}

static void
take_line(struct reply *r)
{
	switch (r->part) {
	case REPLY_STATUS:
		r->status = status_of(r->line);
		r->part = r->status != 0 ? REPLY_FIELDS : REPLY_REST;
		break;
	case REPLY_FIELDS:
		if (r->length == 0)
			end_fields(r);
		else
			take_field(r);
		break;
	case REPLY_SIZE:
		if (!number(r->line, 16, &r->left))
			r->part = REPLY_BROKEN;
		else
			r->part = r->left > 0 ? REPLY_CHUNK : REPLY_TRAILER;
		break;
	case REPLY_CHUNK:			/* the line end behind it */
		r->part = REPLY_SIZE;
		break;
	default:
		if (r->length == 0)
			r->part = REPLY_COMPLETE;
	}
}

/* What is no line: returns how much of it was taken. */
static size_t
take_body(struct reply *r, size_t n)
{
	size_t taken;

	if (r->part >= REPLY_REST)
		return n;
	if (r->part != REPLY_COUNTED && r->part != REPLY_CHUNK)
		return 0;
	taken = r->left < n ? (size_t)r->left : n;
	r->left -= taken;
	if (r->left == 0 && r->part == REPLY_COUNTED)
		r->part = REPLY_COMPLETE;
	return taken;
}

static void
take_char(struct reply *r, char c)
{
	if (c != '\n') {
		if (r->length < sizeof(r->line) - 1)
			r->line[r->length++] = c;
		return;
	}
	if (r->length > 0 && r->line[r->length - 1] == '\r')
		r->length--;
	r->line[r->length] = '\0';
	take_line(r);
	r->length = 0;
}

void
reply_take(struct reply *r, const char *buf, size_t n)
{
	size_t taken;

	r->bytes += n;
	while (n > 0) {
		if ((taken = take_body(r, n)) == 0) {
			take_char(r, *buf);
			taken = 1;
		}
		buf += taken;
		n -= taken;
	}
}
