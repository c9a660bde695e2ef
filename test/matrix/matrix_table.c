/*
 * matrix_table.c - the outcomes as measured, peer by peer
 */
#include <sys/types.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "matrix/matrix_table.h"

#define FORMS	32		/* as bits, and as letters */
#define ROW	64

/* A row: what came of it, and for which forms. */
struct row {
	char		text[ROW];
	unsigned	forms;
};

/*
 * An abort tells nothing of delivery.  A verb has no report: then the segments
 * say what one would.
 */
static void
describe(char *text, const struct m_case *c, const struct m_result *r)
{
	const struct graceclose_report *rep = &r->told.report;
	bool report = m_reports(c->form);
	int error = r->told.value == 0 ? 0 : r->told.error;
	bool delivered = report ? rep->delivered : m_delivered(&r->proof);
	bool finished = report ? rep->finished : r->proof.fin_taken;
	uint64_t unacked = report ? rep->unacked :
	    (uint64_t)M_WRITTEN - r->proof.acked;
	char told[32];

	snprintf(told, sizeof(told), "%c %c %7" PRIu64,
	    delivered ? 'd' : '-', finished ? 'f' : '-', unacked);
	snprintf(text, ROW, "%-11s %-11s  %-4s",
	    error == 0 ? "0" : t_errno(error),
	    m_aborts(c->form) ? "" : told, r->reset ? "RST" : "");
}

static void
collect(struct row *rows, size_t *n, const struct m_case *c,
    const struct m_result *r)
{
	char text[ROW];
	size_t i;

	describe(text, c, r);
	for (i = 0; i < *n; i++)
		if (strcmp(rows[i].text, text) == 0)
			break;
	if (i == *n) {
		memset(&rows[i], 0, sizeof(rows[i]));
		memcpy(rows[i].text, text, sizeof(text));
		(*n)++;
	}
	rows[i].forms |= 1U << (c->form - m_forms);
}

static void
print_forms(unsigned forms)
{
	unsigned i;

	for (i = 0; i < FORMS; i++)
		if (forms & 1U << i)
			putchar('a' + (int)i);
	putchar('\n');
}

static void
print_peer(const struct m_peer *p, const struct m_case *cases,
    const struct m_result *results, size_t n)
{
	struct row rows[FORMS];
	size_t i, nrows = 0;

	for (i = 0; i < n; i++)
		if (cases[i].peer == p && cases[i].fault == NULL &&
		    results[i].ran && nrows < FORMS)
			collect(rows, &nrows, &cases[i], &results[i]);
	for (i = 0; i < nrows; i++) {
		printf("%-28s %s  ", i == 0 ? p->script.name : "",
		    rows[i].text);
		print_forms(rows[i].forms);
	}
}

static void
print_legend(void)
{
	size_t i;

	printf("The forms:\n");
	for (i = 0; i < m_nforms; i++)
		printf("  %c %-22s%s", 'a' + (int)i, m_forms[i].name,
		    i % 3 == 2 || i + 1 == m_nforms ? "\n" : "");
	printf("Of %d bytes written: d delivered, f finished, then how many "
	    "nobody had\nacknowledged when it returned; RST: one of ours left, "
	    "then or later.\n", M_WRITTEN);
}

static void
print_faults(const struct m_case *cases, const struct m_result *results,
    size_t n)
{
	size_t i, f, all, ok;

	printf("\nOne segment of the end, lost or doubled: closes, and how "
	    "many returned 0\n");
	for (f = 0; f < m_nfaults; f++) {
		all = ok = 0;
		for (i = 0; i < n; i++) {
			if (cases[i].fault != &m_faults[f] || !results[i].ran)
				continue;
			all++;
			ok += results[i].told.value == 0;
		}
		printf("%-28s %5zu %5zu\n", m_faults[f].name, all, ok);
	}
}

void
m_table(const struct m_case *cases, const struct m_result *results, size_t n)
{
	size_t p;

	print_legend();
	for (p = 0; p < m_npeers; p++) {
		if (m_peers[p].section != NULL)
			printf("\n%s\n", m_peers[p].section);
		print_peer(&m_peers[p], cases, results, n);
	}
	print_faults(cases, results, n);
}
