/*
 * bench.c - this library beside the other ways to close, on the same work
 */
#include <sys/types.h>
#include <sys/utsname.h>

#include <bsd/stdlib.h>

#include <err.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "ends.h"
#include "figures.h"

#define ROUNDS	5
#define MOST	19000	/* connections at once */

static const struct work {
	const char	*name, *what;
	void		(*run)(struct bench *);
} works[] = {
	{ "early", "an early reply to clients that upload", work_early },
	{ "mass", "many connections closed at once", work_mass },
	{ "background", "the reaper with closes under way", work_background },
	{ "truth", "what a report of success is worth", work_truth },
	{ "deadline", "waiting, and a limit of 250 ms", work_deadline },
	{ "finished", "a close after the peer's FIN", work_finished },
	{ "probe", "has the peer closed?", work_probe },
	{ "drain", "1 GiB of late input", work_drain },
};
#define WORKS	((int)(sizeof(works) / sizeof(works[0])))

/* Those that are compared most closely stand side by side. */
const struct peer *const peers[] = {
	&peer_close, &peer_shutdown, &peer_so_linger, &peer_nginx_way,
	&peer_libuv, &peer_libevent, &peer_go, &peer_nginx, &peer_by_hand,
	&peer_step, &peer_reaper, &peer_reaper_done, &peer_graceful_close,
	&peer_linger_close
};
const int npeers = (int)(sizeof(peers) / sizeof(peers[0]));

static const char *plot_dir;
static const char *json_path;

bool
bench_ours(const char *name)
{
	int i;

	for (i = 0; i < npeers; i++)
		if (strcmp(peers[i]->name, name) == 0)
			return peers[i]->ours;
	return false;
}

bool
bench_there(const char *work, const struct peer *p, bool can)
{
	const char *missing = peer_missing(p);

	/* Without its library a peer can do nothing. */
	if (!can && (missing == NULL || p->program != NULL))
		return false;
	if (missing != NULL)
		figures_missing(work, p->name, missing);
	return missing == NULL;
}

int
bench_turn(int k, int n, int round)
{
	return round % 2 == 0 ? k : n - 1 - k;
}

/* On a terminal the line is written again, elsewhere a dot is enough. */
void
bench_progress(struct bench *b, const char *work, int round, const char *peer)
{
	if (b->quick)
		return;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%-10s round %d of %d: %-24s", work,
		    round + 1, b->rounds, peer);
	else
		fputc('.', stderr);
}

void
bench_failed(struct bench *b, const char *work, const char *peer)
{
	printf("FAILED: %s: %s\n", work, peer);
	b->failed = true;
}

FILE *
bench_plot(const char *name)
{
	char path[4096];
	FILE *f;

	if (plot_dir == NULL)
		return NULL;
	(void)snprintf(path, sizeof(path), "%s/%s", plot_dir, name);
	if ((f = fopen(path, "w")) == NULL)
		err(1, "%s", path);
	return f;
}

static void
usage(void)
{
	int i;

	printf("usage: %s [--rounds N] [--work NAME] [--quick] [--json FILE]\n"
	    "       [--plot DIR] [--help]\n"
	    "Measures what ways to close cost and what they lose, in turn on "
	    "the same work.\n"
	    "  --rounds N   1 to %d (%d)\n"
	    "  --work NAME  one of these, not all:\n", getprogname(),
	    ROUNDS_MAX, ROUNDS);
	for (i = 0; i < WORKS; i++)
		printf("                 %-12s%s\n", works[i].name,
		    works[i].what);
	printf("  --quick      one round of small works: do they run?\n"
	    "  --json FILE  writes all figures\n"
	    "  --plot DIR   writes what plot.gp draws\n");
	exit(0);
}

static int
number(const char *text)
{
	const char *e = NULL;
	int n = (int)strtonum(text, 1, ROUNDS_MAX, &e);

	if (e != NULL)
		errx(2, "--rounds %s: %s, expected 1 to %d", text, e,
		    ROUNDS_MAX);
	return n;
}

static const struct work *
work_named(const char *name)
{
	int i;

	for (i = 0; i < WORKS; i++)
		if (strcmp(works[i].name, name) == 0)
			return &works[i];
	errx(2, "--work %s: no such work, see --help", name);
}

/* The one work to run, or NULL: all. */
static const struct work *
parse(int argc, char **argv, struct bench *b)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "work", required_argument, NULL, 'w' },
		{ "quick", no_argument, NULL, 'q' },
		{ "json", required_argument, NULL, 'j' },
		{ "plot", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 }
	};
	const struct work *only = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (c == 'h')
			usage();
		else if (c == 'r')
			b->rounds = number(optarg);
		else if (c == 'w')
			only = work_named(optarg);
		else if (c == 'q')
			b->quick = true;
		else if (c == 'j')
			json_path = optarg;
		else if (c == 'p')
			plot_dir = optarg;
		else
			exit(2);
	if (optind < argc)
		errx(2, "unexpected argument: %s", argv[optind]);
	if (b->quick)
		b->rounds = 1;
	return only;
}

/* --- what the run says of itself --- */

struct about {
	struct utsname	 system;
	char		 cpu[128], date[32], command[512];
	double		 before[3], after[3];	/* load averages */
};

static void
processor(char *cpu, size_t size)
{
	char line[256], *at;
	FILE *f = fopen("/proc/cpuinfo", "r");

	(void)snprintf(cpu, size, "unknown processor");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "model name", 10) == 0 &&
		    (at = strchr(line, ':')) != NULL) {
			(void)snprintf(cpu, size, "%s", at + 2);
			cpu[strcspn(cpu, "\n\"\\")] = '\0';
			break;
		}
	if (f != NULL)
		fclose(f);
}

static void
about_make(struct about *a, int argc, char **argv)
{
	const time_t now = time(NULL);
	struct tm tm;
	char *at;
	int i;

	memset(a, 0, sizeof(*a));
	(void)uname(&a->system);
	processor(a->cpu, sizeof(a->cpu));
	(void)strftime(a->date, sizeof(a->date), "%Y-%m-%d %H:%M UTC",
	    gmtime_r(&now, &tm));
	for (i = 0; i < argc; i++) {
		size_t n = strlen(a->command);

		(void)snprintf(a->command + n, sizeof(a->command) - n, "%s%s",
		    i == 0 ? "" : " ", argv[i]);
	}
	/* JSON would need an escape. */
	for (at = a->command; *at != '\0'; at++)
		if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ')
			*at = '_';
	(void)getloadavg(a->before, 3);
}

static void
about_print(const struct about *a)
{
	const char *why = ends_refused();

	printf("%s, %ld processors, %s %s, %s\nload average %.2f, up to %d "
	    "connections at once%s%s\n", a->cpu,
	    sysconf(_SC_NPROCESSORS_ONLN), a->system.sysname,
	    a->system.release, a->date, a->before[0], ends_room(),
	    why == NULL ? ", a network namespace for each measurement" :
	    ",\nno network namespace: ", why == NULL ? "" : why);
}

static void
json(const struct about *a, const struct bench *b)
{
	FILE *f = fopen(json_path, "w");

	if (f == NULL)
		err(1, "%s", json_path);
	fprintf(f, "{\n  \"processor\": \"%s\",\n  \"processors\": %ld,\n"
	    "  \"kernel\": \"%s %s\",\n  \"date\": \"%s\",\n"
	    "  \"command\": \"%s\",\n", a->cpu,
	    sysconf(_SC_NPROCESSORS_ONLN), a->system.sysname,
	    a->system.release, a->date, a->command);
	fprintf(f, "  \"namespace\": %s,\n  \"connections\": %d,\n"
	    "  \"load\": [%.2f, %.2f],\n  \"rounds\": %d,\n"
	    "  \"failed\": %s,\n", ends_refused() == NULL ? "true" : "false",
	    ends_room(), a->before[0], a->after[0], b->rounds,
	    b->failed ? "true" : "false");
	figures_json(f);
	fprintf(f, "}\n");
	if (fclose(f) == EOF)
		err(1, "%s", json_path);
}

int
main(int argc, char **argv)
{
	struct bench b = { .rounds = ROUNDS };
	const struct work *only = parse(argc, argv, &b);
	struct about a;
	int i;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	about_make(&a, argc, argv);
	ends_prepare(MOST);
	about_print(&a);
	peer_make_reply();
	for (i = 0; i < WORKS; i++)
		if (only == NULL || only == &works[i])
			works[i].run(&b);
	figures_targets();
	(void)getloadavg(a.after, 3);
	printf("load average at the end %.2f\n", a.after[0]);
	if (json_path != NULL)
		json(&a, &b);
	return b.failed;
}
