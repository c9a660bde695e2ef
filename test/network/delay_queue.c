/*
 * delay_queue.c - see delay_queue.h
 */
#include <stdint.h>

#include "network/delay_queue.h"

static struct parcel parcels[TRANSIT_MAX];
static struct parcel *heap[TRANSIT_MAX];
static struct parcel *unused[TRANSIT_MAX];
static size_t nheap, nunused;
static uint64_t turns;

static bool
earlier(const struct parcel *a, const struct parcel *b)
{
	return a->due_us != b->due_us ? a->due_us < b->due_us :
	    a->turn < b->turn;
}

static void
swap(size_t i, size_t j)
{
	struct parcel *p = heap[i];

	heap[i] = heap[j];
	heap[j] = p;
}

void
transit_clear(void)
{
	size_t i;

	nheap = 0;
	for (i = 0; i < TRANSIT_MAX; i++)
		unused[i] = &parcels[i];
	nunused = TRANSIT_MAX;
}

struct parcel *
transit_new(void)
{
	struct parcel *p;

	if (nunused == 0)
		return NULL;
	p = unused[--nunused];
	p->turn = turns++;
	return p;
}

void
transit_put(struct parcel *p)
{
	size_t i = nheap++;

	heap[i] = p;
	for (; i > 0 && earlier(heap[i], heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(i, (i - 1) / 2);
}

struct parcel *
transit_take(void)
{
	struct parcel *first = heap[0];
	size_t i, child;

	heap[0] = heap[--nheap];
	for (i = 0; (child = 2 * i + 1) < nheap; i = child) {
		if (child + 1 < nheap && earlier(heap[child + 1], heap[child]))
			child++;
		if (!earlier(heap[child], heap[i]))
			break;
		swap(i, child);
	}
	return first;
}

void
transit_done(struct parcel *p)
{
	unused[nunused++] = p;
}

int64_t
transit_due(void)
{
	return nheap > 0 ? heap[0]->due_us : INT64_MAX;
}

size_t
transit_count(void)
{
	return nheap;
}

const struct parcel *
transit_at(size_t i)
{
	return heap[i];
}
