/*
 * nginx.c - nginx itself, for early replies: one worker, its own folder
 *
 * It refuses a body of more than 1 KiB, and sends a file as its error page.
 */
#include <sys/types.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"

#define TRIES	500			/* of 10 ms: nginx starts */

static pid_t process;
static char folder[] = "/tmp/bench_nginx.XXXXXX";

static uint16_t
port_of(int listener)
{
	struct sockaddr_in sin = { 0 };
	socklen_t len = sizeof(sin);

	if (getsockname(listener, (struct sockaddr *)&sin, &len) == -1)
		err(1, "getsockname");
	return ntohs(sin.sin_port);
}

static FILE *
create(const char *name)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	if ((f = fopen(path, "w")) == NULL)
		err(1, "%s", path);
	return f;
}

static void
write_files(uint16_t port)
{
	static const char *const stores[] = { "client_body", "proxy",
	    "fastcgi", "uwsgi", "scgi" };
	FILE *f;
	size_t i;

	if (mkdtemp(folder) == NULL)
		err(1, "%s", folder);
	f = create("reply.html");
	(void)fwrite(peer_reply, 1, PEER_REPLY, f);
	fclose(f);
	f = create("nginx.conf");
	/* nginx takes root for a reason to change the owner of its folders. */
	fprintf(f, "%sdaemon off;\nmaster_process off;\npid %s/pid;\n"
	    "error_log %s/log crit;\nevents { worker_connections 512; }\n"
	    "http {\n\taccess_log off;\n\tsendfile on;\n", geteuid() == 0 ?
	    "user root root;\n" : "", folder, folder);
	for (i = 0; i < sizeof(stores) / sizeof(stores[0]); i++)
		fprintf(f, "\t%s_temp_path %s/temp;\n", stores[i], folder);
	fprintf(f, "\tserver {\n\t\tlisten 127.0.0.1:%u;\n\t\troot %s;\n"
	    "\t\tclient_max_body_size 1k;\n"
	    "\t\terror_page 413 /reply.html;\n\t}\n}\n", (unsigned)port,
	    folder);
	fclose(f);
}

static bool
listens(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	r = connect(fd, (struct sockaddr *)&to, sizeof(to));
	close(fd);
	return r == 0;
}

static pid_t
start(int listener, const int *fds, int n)
{
	char path[4096], conf[128];
	const struct timespec nap = { 0, 10000000 };
	uint16_t port = port_of(listener);
	int i;

	(void)fds;
	(void)n;
	close(listener);
	write_files(port);
	(void)snprintf(conf, sizeof(conf), "%s/nginx.conf", folder);
	if (!peer_find("nginx", path, sizeof(path)) ||
	    (process = fork()) == -1)
		err(1, "nginx");
	if (process == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		(void)execl(path, "nginx", "-p", folder, "-c", conf,
		    (char *)NULL);
		err(1, "%s", path);
	}
	for (i = 0; i < TRIES && !listens(port); i++)
		(void)nanosleep(&nap, NULL);
	return process;
}

/* It serves by itself until stop(). */
static void
serve(int listener, int requests)
{
	(void)listener;
	(void)requests;
}

static void
stop(void)
{
	static const char *const names[] = { "reply.html", "nginx.conf", "pid",
	    "log" };
	char path[128];
	size_t i;

	(void)kill(process, SIGTERM);
	(void)waitpid(process, NULL, 0);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		(void)unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s/temp", folder);
	(void)rmdir(path);
	(void)rmdir(folder);
}

const struct peer peer_nginx = {
	.name = "nginx",
	.program = "nginx",
	.missing = "not installed: apt install nginx-light",
	.start = start,
	.serve = serve,
	.stop = stop
};
