/*
 * inetd_stdio.c - recipe: a program that inetd starts, and that uses stdio
 *
 * inetd, and systemd with Accept=yes, start it for each connection, which is
 * descriptor 0 and 1, and often 2.  When it exits, the kernel closes them as by
 * close(2): a client that still sends gets an RST and can lose the reply.  What
 * is special here:
 *  - The reply waits in stdout: fflush(3) before the FIN, and its error counts.
 *  - A duplicate that is left keeps the connection alive: close(2) for all but
 *    one, then graceclose() for the last, not fclose(stdin).
 *  - stderr may be the client, so the program reports with syslog(3).
 *  - stdio repeats its calls: alarm(2) limits them, no option of the socket.
 *  - SIGPIPE would end the program before it can report.
 * Copy all but serve(), and call stdio_close() before the program exits.
 *
 * Usage: inetd inetd_stdio.  Each request gets a 413.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <graceclose.h>

#define LIFE_S	3			/* until the reply is written */

static const char body[199942];

/* The time is up.  An RST: with a FIN, a part can pass for the whole. */
static void
cut(int sig)
{
	(void)sig;
	abort_close(STDIN_FILENO);	/* the duplicates as well */
	_exit(1);
}

/* Whether the descriptor is a duplicate of descriptor 0. */
static bool
is_connection(int fd)
{
	struct stat zero, other;

	return fstat(STDIN_FILENO, &zero) == 0 && fstat(fd, &other) == 0 &&
	    zero.st_dev == other.st_dev && zero.st_ino == other.st_ino;
}

/*
 * /dev/null takes the number.  Otherwise the next file that is opened has it,
 * and gets what the program still prints.
 */
static void
leave_connection(int fd)
{
	int null;

	if (is_connection(fd) && (null = open("/dev/null", O_RDWR)) != -1) {
		dup2(null, fd);
		close(null);
	}
}

/* 0: the client has all that was printed. */
static int
stdio_close(void)
{
	static const struct graceclose_opts quiet = {
		.until = GRACECLOSE_QUIET, .timeout_ms = 3000, .idle_ms = 1000
	};
	bool written = fflush(stdout) == 0 && !ferror(stdout);

	alarm(0);			/* the close has its own limits */
	if (!written) {
		abort_close(STDIN_FILENO);
		errno = EPIPE;
		return -1;
	}
	leave_connection(STDOUT_FILENO);
	leave_connection(STDERR_FILENO);
	return graceclose(STDIN_FILENO, &quiet, NULL);
}

/* The program as it was. */
static void
serve(void)
{
	char line[1024];

	if (fgets(line, sizeof(line), stdin) == NULL)
		return;
	printf("HTTP/1.1 413 Content Too Large\r\nContent-Length: %zu\r\n\r\n",
	    sizeof(body));
	fwrite(body, 1, sizeof(body), stdout);
}

int
main(void)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN },
	    alarmed = { .sa_handler = cut };

	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGALRM, &alarmed, NULL);
	alarm(LIFE_S);
	serve();
	if (stdio_close() == 0)
		return 0;
	syslog(LOG_NOTICE, "the client may lack a part of the reply: %s",
	    strerror(errno));
	return 1;
}
