/*
 * replycheck - does a server lose its early replies?
 *
 * replycheck(1) describes the options and the output.  The program sends
 * requests whose body the server refuses, and counts the replies that arrive.
 *
 * Modules: target (the URL), attempt (one request), wire (TCP or TLS), reply
 * (what came of it), crowd (a number of requests), table (the output), watch
 * (the segments).
 */
#include <sys/types.h>
#include <sys/stat.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "closewatch/option.h"
#include "replycheck/crowd.h"
#include "replycheck/table.h"
#include "replycheck/target.h"
#include "replycheck/watch.h"

#define NUMBER		100
#define NUMBER_MOST	100000
#define AT_ONCE		4
#define UPLOAD		((uint64_t)4 << 20)
#define UPLOAD_MOST	((uint64_t)1 << 30)
#define RAW_MOST	((off_t)64 << 20)
#define SLOW_MOST	60000
#define SECONDS		10
#define SECONDS_MOST	3600
#define HEAD_MOST	8192

static struct request request = {
	.body_size = UPLOAD,
	.timeout_ms = SECONDS * 1000
};
static struct table table;
static const char *raw_file;
static int number = NUMBER, at_once = AT_ONCE;
static bool after = true, meanwhile = true, tls, watched;

static _Noreturn void
usage(FILE *out, int status)
{
	fprintf(out,
	    "usage: %s [options] http[s]://host:port/path | tcp://host:port\n"
	    "Uploads to a server that refuses it, and counts the replies that "
	    "arrive;\nsee replycheck(1).\n"
	    "  -n n             requests (%d)\n"
	    "  --at-once n      so many at a time, %d at most (%d)\n"
	    "  --upload size    bytes of the body, as 64k, 4m (4m)\n"
	    "  --reads when     the client reads after it sent, or while it "
	    "sends: after,\n"
	    "                   while or both (both)\n"
	    "  --slow ms        the client waits between blocks of 64 KiB (0)\n"
	    "  --timeout s      one request takes no longer (%d)\n"
	    "  --tls            speak TLS, as https does; no certificate is "
	    "checked\n"
	    "  --raw file       send this file instead of a request line and "
	    "fields\n"
	    "  --watch          draw the segments of a lost reply, over "
	    "loopback\n"
	    "  --json           print a JSON object for each row\n"
	    "Exit status: 0 if no reply was lost, 1 if one was, 2 if it could "
	    "not ask.\n", program_invocation_short_name, NUMBER,
	    CROWD_MOST, AT_ONCE, SECONDS);
	if (fflush(out) == EOF)
		err(2, "standard output");
	exit(status);
}

/* A number of bytes, perhaps with k, m or g behind it. */
static uint64_t
size_option(const char *arg)
{
	static const char units[] = "kmg";
	const char *unit;
	char *end;
	uint64_t n = strtoull(arg, &end, 10);

	if (end != arg && *end != '\0' && end[1] == '\0' &&
	    (unit = strchr(units, *end | 0x20)) != NULL && n <= UPLOAD_MOST) {
		n <<= 10 * (unit - units + 1);
		end++;
	}
	if (end == arg || *end != '\0' || *arg == '-' || n > UPLOAD_MOST)
		errx(2, "--upload %s: expected a number of bytes, at most 1g",
		    arg);
	return n;
}

static void
reads_option(const char *arg)
{
	after = strcmp(arg, "after") == 0 || strcmp(arg, "both") == 0;
	meanwhile = strcmp(arg, "while") == 0 || strcmp(arg, "both") == 0;
	if (!after && !meanwhile)
		errx(2, "--reads %s: expected after, while or both", arg);
}

static void
take_option(int c)
{
	switch (c) {
	case 'n':
		number = option_number("-n", optarg, 1, NUMBER_MOST);
		break;
	case 'a':
		at_once = option_number("--at-once", optarg, 1, CROWD_MOST);
		break;
	case 'u':
		request.body_size = size_option(optarg);
		break;
	case 'r':
		reads_option(optarg);
		break;
	case 's':
		request.slow_ms = option_number("--slow", optarg, 0,
		    SLOW_MOST);
		break;
	case 't':
		request.timeout_ms = 1000 * option_number("--timeout", optarg,
		    1, SECONDS_MOST);
		break;
	case 'T':
		tls = true;
		break;
	case 'R':
		raw_file = optarg;
		break;
	case 'w':
		watched = true;
		break;
	case 'j':
		table.json = true;
		break;
	case 'h':
		usage(stdout, 0);
	default:
		exit(2);		/* getopt_long said why */
	}
}

static void
parse_options(int argc, char *argv[])
{
	static const struct option names[] = {
		{ "at-once", required_argument, NULL, 'a' },
		{ "upload", required_argument, NULL, 'u' },
		{ "reads", required_argument, NULL, 'r' },
		{ "slow", required_argument, NULL, 's' },
		{ "timeout", required_argument, NULL, 't' },
		{ "tls", no_argument, NULL, 'T' },
		{ "raw", required_argument, NULL, 'R' },
		{ "watch", no_argument, NULL, 'w' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "n:", names, NULL)) != -1)
		take_option(c);
	if (optind == argc)
		errx(2, "which server?  Give http://host:port/path");
	if (optind + 1 < argc)
		errx(2, "unexpected argument: %s", argv[optind + 1]);
	if (watched && table.json)
		errx(2, "give --json or --watch, not both");
	table.url = argv[optind];
}

/* The head of a POST (RFC 9112, 3), of which the server need read no more. */
static void
make_head(const struct target *t)
{
	static char head[HEAD_MOST];
	bool v6 = strchr(t->host, ':') != NULL;
	int n;

	n = snprintf(head, sizeof(head), "POST %s%s HTTP/1.1\r\n"
	    "Host: %s%s%s:%s\r\n"
	    "User-Agent: replycheck\r\n"
	    "Content-Type: application/octet-stream\r\n"
	    "Content-Length: %" PRIu64 "\r\n"
	    "Connection: close\r\n\r\n", *t->path == '?' ? "/" : "",
	    t->path, v6 ? "[" : "", t->host, v6 ? "]" : "", t->port,
	    request.body_size);
	if (n < 0 || n >= (int)sizeof(head))
		errx(2, "%s: longer than a request may be", table.url);
	request.head = head;
	request.head_size = (size_t)n;
}

static void
read_raw(void)
{
	struct stat st;
	ssize_t n;
	char *buf;
	int fd;

	if ((fd = open(raw_file, O_RDONLY | O_NONBLOCK | O_CLOEXEC)) == -1 ||
	    fstat(fd, &st) == -1)
		err(2, "%s", raw_file);
	if (!S_ISREG(st.st_mode) || st.st_size > RAW_MOST)
		errx(2, "%s: not a file, or more than 64 MiB", raw_file);
	if ((buf = malloc((size_t)st.st_size + 1)) == NULL)
		err(2, NULL);
	while (request.head_size < (size_t)st.st_size) {
		n = read(fd, buf + request.head_size,
		    (size_t)st.st_size - request.head_size);
		if (n <= 0)
			errx(2, "%s: cannot read it whole", raw_file);
		request.head_size += (size_t)n;
	}
	(void)close(fd);
	request.head = buf;
}

static void
progress(const struct crowd *c)
{
	fprintf(stderr, "\r%d of %d%s", c->number, number,
	    c->number == number ? "\r\033[K" : "");
}

static void
ask(const struct target *t, bool reads_while)
{
	struct crowd c;

	request.reads_while = reads_while;
	crowd_run(&c, &request, t->addr->ai_addr, t->addr->ai_addrlen, number,
	    at_once, isatty(STDERR_FILENO) ? progress : NULL);
	if (c.ends[ATTEMPT_UNCONNECTED] == number)
		errx(2, "%s: %s", table.url, strerror(c.error));
	table_row(&table, &request, &c);
}

int
main(int argc, char *argv[])
{
	struct target t;
	const char *why;

	parse_options(argc, argv);
	if (target_parse(&t, table.url, &why) == -1 ||
	    target_find(&t, request.timeout_ms, &why) == -1)
		errx(2, "%s: %s", table.url, why);
	request.http = t.http;
	if (tls || t.tls) {
		request.tls = t.host;
		if ((why = wire_tls_missing()) != NULL)
			errx(2, "%s: %s", table.url, why);
	}
	if (raw_file != NULL)
		read_raw();
	else if (t.http)
		make_head(&t);
	if (request_size(&request) == 0)
		errx(2, "--upload 0: there is nothing to send");
	if (after)
		ask(&t, false);
	if (meanwhile)
		ask(&t, true);
	table_end(&table);
	if (watched && !watch(&request, t.addr->ai_addr, t.addr->ai_addrlen,
	    number, &why))
		warnx("--watch: %s", why);
	if (fflush(stdout) == EOF || ferror(stdout))
		err(2, "standard output");
	target_free(&t);
	return table_lost(&table) ? 1 : 0;
}
