/*
 * check_load.c - closewatch with a hundred thousand connections: it counts each
 * exactly once, in bounded memory
 */
#include <sys/resource.h>
#include <sys/wait.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "closewatch/monitor.h"
#include "support/util.h"

#ifdef HAVE_PCAP

#define CONNS		100000
#define APART		1000		/* they begin between two segments */
#define STEP_US		100
#define SECONDS		120

/* closewatch(8) says so of --max. */
#define BYTES_EACH	400
#define BYTES_MORE	(1 << 20)

/* A sanitizer or valgrind makes each slow, and memory is not measured. */
static int
conns(void)
{
	return T_SLOW ? CONNS / 5 : CONNS;
}

/* --- the capture --------------------------------------------------------- */

enum { C, S };

#define FIN	SEGMENT_FIN
#define SYN	SEGMENT_SYN
#define RST	SEGMENT_RST
#define ACK	SEGMENT_ACK

/* Numbers begin at 0 with the SYN of each side. */
struct step {
	int		from;
	uint8_t		flags;
	uint32_t	seq, ack, length;
};

static const struct script {
	const char	*key;		/* in the summary */
	uint64_t	 lost;
	int		 n;
	struct step	 steps[8];
} scripts[] = {
	{ "four_way", 0, 8, {
	    { C, SYN, 0, 0, 0 }, { S, SYN | ACK, 0, 1, 0 },
	    { C, ACK, 1, 1, 100 }, { S, ACK, 1, 101, 1000 },
	    { S, FIN | ACK, 1001, 101, 0 }, { C, ACK, 101, 1002, 0 },
	    { C, FIN | ACK, 101, 1002, 0 }, { S, ACK, 1002, 102, 0 } } },
	{ "three_segment", 0, 8, {
	    { C, SYN, 0, 0, 0 }, { S, SYN | ACK, 0, 1, 0 },
	    { C, ACK, 1, 1, 0 }, { C, ACK, 1, 1, 100 },
	    { S, ACK, 1, 101, 1000 }, { S, FIN | ACK, 1001, 101, 0 },
	    { C, FIN | ACK, 101, 1002, 0 }, { S, ACK, 1002, 102, 0 } } },
	{ "simultaneous", 0, 8, {
	    { C, SYN, 0, 0, 0 }, { S, SYN | ACK, 0, 1, 0 },
	    { C, ACK, 1, 1, 100 }, { S, ACK, 1, 101, 0 },
	    { C, FIN | ACK, 101, 1, 0 }, { S, FIN | ACK, 1, 101, 0 },
	    { C, ACK, 102, 2, 0 }, { S, ACK, 2, 102, 0 } } },
	{ "refused", 0, 2, {
	    { C, SYN, 0, 0, 0 }, { S, RST | ACK, 0, 1, 0 } } },
	{ "reset_unread_or_abort", 3000, 8, {
	    { C, SYN, 0, 0, 0 }, { S, SYN | ACK, 0, 1, 0 },
	    { C, ACK, 1, 1, 0 }, { C, ACK, 1, 1, 100 },
	    { S, ACK, 1, 101, 0 }, { S, ACK, 1, 101, 1000 },
	    { S, ACK, 1001, 101, 2000 }, { S, RST | ACK, 3001, 101, 0 } } },
	{ "reset_late_data", 500, 8, {
	    { C, SYN, 0, 0, 0 }, { S, SYN | ACK, 0, 1, 0 },
	    { C, ACK, 1, 1, 0 }, { S, ACK, 1, 1, 1000 },
	    { S, FIN | ACK, 1001, 1, 0 }, { C, ACK, 1, 1002, 0 },
	    { C, ACK, 1, 1002, 500 }, { S, RST, 1002, 0, 0 } } },
	{ "reset_abort", 1000, 7, {	/* each by another client */
	    { C, SYN, 0, 0, 0 }, { S, SYN | ACK, 0, 1, 0 },
	    { C, ACK, 1, 1, 0 }, { C, ACK, 1, 1, 100 },
	    { S, ACK, 1, 101, 0 }, { S, ACK, 1, 101, 1000 },
	    { C, RST | ACK, 101, 1, 0 } } },
	{ "open", 0, 4, {
	    { C, SYN, 0, 0, 0 }, { S, SYN | ACK, 0, 1, 0 },
	    { C, ACK, 1, 1, 100 }, { S, ACK, 1, 101, 0 } } },
};

enum { OPEN = 7, SCRIPTS };

static const struct script *
script_of(int i)
{
	return &scripts[i % 1000 == 0 ? OPEN : i % OPEN];
}

static void
put16(unsigned char *p, uint32_t n)
{
	p[0] = (unsigned char)(n >> 8);
	p[1] = (unsigned char)n;
}

static void
put32(unsigned char *p, uint32_t n)
{
	put16(p, n >> 16);
	put16(p + 2, n);
}

/* A client has an address of its own; ports come again. */
static void
put_ends(unsigned char *ip, const struct step *s, int i)
{
	uint32_t client = 0x0a000000 + (uint32_t)i, server = 0x0b000001;
	uint32_t from = 1024 + (uint32_t)i % 100, to = 80;

	put32(ip + 12, s->from == C ? client : server);
	put32(ip + 16, s->from == C ? server : client);
	put16(ip + 20, s->from == C ? from : to);
	put16(ip + 22, s->from == C ? to : from);
}

/* Raw IPv4, with the headers alone, as tcpdump -s 40 has it. */
static void
write_segment(FILE *out, const struct step *s, int i, int64_t us)
{
	uint32_t record[4] = { (uint32_t)(us / 1000000),
	    (uint32_t)(us % 1000000), 40, 40 + s->length };
	uint32_t isn = (uint32_t)i * 2654435761u;
	unsigned char ip[40] = { 0x45, [8] = 64, [9] = 6, [32] = 0x50,
	    [34] = 0xff, [35] = 0xff };

	put16(ip + 2, 40 + s->length);
	put_ends(ip, s, i);
	put32(ip + 24, s->seq + isn);
	put32(ip + 28, s->flags & ACK ? s->ack + isn : 0);
	ip[33] = s->flags;
	fwrite(record, sizeof(record), 1, out);
	fwrite(ip, sizeof(ip), 1, out);
}

/* Connections overlap: some 8,000 are open at a time. */
static FILE *
capture(int n)
{
	static const uint32_t header[6] = { 0xa1b2c3d4, 2 | 4 << 16, 0, 0,
	    65535, 101 };
	FILE *out = tmpfile();

	ck_assert_ptr_nonnull(out);
	fwrite(header, sizeof(header), 1, out);
	for (int t = 0; n > 0 && t < n + 8 * APART; t++)
		for (int step = 0; step < 8; step++) {
			int i = t - step * APART;

			if (i < 0 || i >= n || step >= script_of(i)->n)
				continue;
			write_segment(out, &script_of(i)->steps[step], i,
			    (int64_t)1000000000 + (int64_t)t * STEP_US);
		}
	ck_assert_int_eq(fflush(out), 0);
	ck_assert(!ferror(out));
	return out;
}

/* --- closewatch ---------------------------------------------------------- */

struct result {
	int	lines;			/* of connections */
	char	summary[16384];
	long	kb;			/* of memory, at most */
	int64_t	ms;
};

static _Noreturn void
read_capture(FILE *pcap, int max, int out)
{
	char path[32];
	struct monitor_options options = { .file = path, .max = max,
	    .json = true };
	struct monitor m;
	const char *why;

	snprintf(path, sizeof(path), "/dev/fd/%d", fileno(pcap));
	if (dup2(out, STDOUT_FILENO) == -1 ||
	    !monitor_open(&m, &options, &why))
		_exit(9);
	_exit(monitor_run(&m));
}

static void
take_lines(struct result *r, int fd)
{
	FILE *in = fdopen(fd, "r");

	r->lines = -1;				/* the summary is one */
	while (fgets(r->summary, sizeof(r->summary), in) != NULL)
		r->lines++;
	fclose(in);
}

static void
run(struct result *r, FILE *pcap, int max)
{
	struct rusage used;
	int fds[2], status;
	pid_t pid;

	t_ok(pipe(fds));
	fflush(stdout);
	r->ms = t_now_ms();
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		close(fds[0]);
		read_capture(pcap, max, fds[1]);
	}
	close(fds[1]);
	take_lines(r, fds[0]);
	ck_assert_int_eq(wait4(pid, &status, 0, &used), pid);
	ck_assert_int_eq(status, 0);
	r->ms = t_now_ms() - r->ms;
	r->kb = used.ru_maxrss;
}

static void
check_number(const struct result *r, const char *before, const char *key,
    uint64_t want)
{
	const char *at = strstr(r->summary, before);
	char text[100];

	ck_assert_ptr_nonnull(at);
	snprintf(text, sizeof(text), "\"%s\": ", key);
	ck_assert_ptr_nonnull(at = strstr(at, text));
	at += strlen(text);
	if (*at == '{')
		at += strlen("{\"number\": ");
	ck_assert_msg(strtoull(at, NULL, 10) == want, "%s: %.20s, not %" PRIu64,
	    key, at, want);
}

struct want {
	uint64_t	of[SCRIPTS];
	uint64_t	all, segments, lost, lossy;
};

static void
expect(struct want *w)
{
	memset(w, 0, sizeof(*w));
	for (int i = 0; i < conns(); i++) {
		const struct script *s = script_of(i);

		w->of[s - scripts]++;
		w->all += s - scripts != OPEN;
		w->segments += (uint64_t)s->n;
		w->lost += s->lost;
		w->lossy += s->lost > 0;
	}
}

static void
check_counts(const struct result *r)
{
	struct want w;

	expect(&w);
	for (int i = 0; i < OPEN; i++)
		check_number(r, "\"ends\"", scripts[i].key, w.of[i]);
	check_number(r, "", "ended", w.all);
	check_number(r, "", "open", w.of[OPEN]);
	check_number(r, "", "segments", w.segments);
	check_number(r, "", "lossy", w.lossy);
	check_number(r, "", "lost", w.lost);
	check_number(r, "", "not_tcp", 0);
	check_number(r, "", "dropped", 0);
	check_number(r, "", "superseded", 0);
	ck_assert_uint_eq((uint64_t)r->lines, w.all);
}

/* Beside what the process takes that reads nothing. */
static void
check_memory(const struct result *r, const struct result *none, int max)
{
	long bytes = (r->kb - none->kb) * 1024;

	printf("%d connections, --max %d: %.1f s, %.1f MB, %.1f MB more than "
	    "with none\n", conns(), max, (double)r->ms / 1000,
	    (double)r->kb / 1024, (double)bytes / (1 << 20));
	if (!T_SLOW)
		ck_assert_int_le(bytes, (long)max * BYTES_EACH + BYTES_MORE);
}

/*
 * Loop: the default of --max; room for all.  With room for few, connections are
 * dropped, and the rest of each begins another one.
 */
static const int maxima[] = { 10000, CONNS, 100 };

START_TEST(each_connection_is_counted_once_in_bounded_memory)
{
	static struct result none, all;
	int max = maxima[_i];
	struct want w;
	FILE *pcap;

	pcap = capture(0);
	run(&none, pcap, max);
	fclose(pcap);
	pcap = capture(conns());
	run(&all, pcap, max);
	fclose(pcap);
	expect(&w);
	check_number(&all, "", "segments", w.segments);
	check_number(&all, "", "not_tcp", 0);
	if (max >= 10000)
		check_counts(&all);
	check_memory(&all, &none, max);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("load");
	TCase *tc = t_case(s, "load");

	tcase_set_timeout(tc, t_patient(SECONDS));
	tcase_add_loop_test(tc,
	    each_connection_is_counted_once_in_bounded_memory, 0,
	    (int)(sizeof(maxima) / sizeof(maxima[0])));
	return t_main(s);
}

#else /* HAVE_PCAP */

START_TEST(each_connection_is_counted_once_in_bounded_memory)
{
	t_skip("built without libpcap");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("load");
	TCase *tc = t_case(s, "load");

	tcase_add_test(tc, each_connection_is_counted_once_in_bounded_memory);
	return t_main(s);
}

#endif /* HAVE_PCAP */
