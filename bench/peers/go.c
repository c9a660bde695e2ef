/*
 * go.c - Go's net package: go_server.go, as a process of its own
 */
#include <sys/types.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "peer.h"

#define LISTENER	3

static pid_t process;
static FILE *to, *from;

/* Its answer to the last numbers. */
static int
answer(void)
{
	char line[32];

	if (fgets(line, sizeof(line), from) == NULL)
		errx(1, "go_server does not answer");
	return (int)strtol(line, NULL, 10);
}

static int
ask(int n, int limit_ms)
{
	if (fprintf(to, "%d %d\n", n, limit_ms) < 0 || fflush(to) == EOF)
		err(1, "go_server");
	return answer();
}

static void
become(int listener, const int *in, const int *out)
{
	char path[4096];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!peer_find("go_server", path, sizeof(path)) ||
	    dup2(in[0], STDIN_FILENO) == -1 ||
	    dup2(out[1], STDOUT_FILENO) == -1)
		err(1, "go_server");
	close(in[0]);
	close(in[1]);
	close(out[0]);
	close(out[1]);
	if (listener != -1 && listener != LISTENER &&
	    dup2(listener, LISTENER) == -1)
		err(1, "go_server");
	(void)execl(path, "go_server", listener != -1 ? "serve" : "close",
	    (char *)NULL);
	err(1, "%s", path);
}

/* The process inherits the descriptors, and reads which ones they are. */
static void
hand_over(const int *fds, int n)
{
	int i;

	if (fprintf(to, "%d\n", n) < 0)
		err(1, "go_server");
	for (i = 0; i < n; i++) {
		if (fprintf(to, "%d\n", fds[i]) < 0)
			err(1, "go_server");
		close(fds[i]);
	}
	if (fflush(to) == EOF)
		err(1, "go_server");
}

static pid_t
start(int listener, const int *fds, int n)
{
	int in[2], out[2];

	if (pipe(in) == -1 || pipe(out) == -1 || (process = fork()) == -1)
		err(1, "go_server");
	if (process == 0)
		become(listener, in, out);
	close(in[0]);
	close(out[1]);
	if ((to = fdopen(in[1], "w")) == NULL ||
	    (from = fdopen(out[0], "r")) == NULL)
		err(1, "go_server");
	if (listener == -1)
		hand_over(fds, n);
	(void)answer();
	return process;
}

static void
serve(int listener, int requests)
{
	(void)listener;
	(void)ask(requests, PEER_LIMIT_MS);
}

static int
close_all(const int *fds, int n, int limit_ms)
{
	(void)fds;
	return ask(n, limit_ms);
}

static void
stop(void)
{
	(void)fclose(to);		/* the end of its input ends it */
	(void)waitpid(process, NULL, 0);
}

const struct peer peer_go = {
	.name = "Go",
	.program = "go_server",
	.missing = "not built: apt install golang-go",
	.start = start,
	.serve = serve,
	.close_all = close_all,
	.at_once = true,
	.stop = stop
};
