/*
 * delay_queue.c - the packets under way on a link: a heap, by their due time
 */
#include <stdint.h>

#include "network/delay_queue.h"

static struct queued places[DELAY_QUEUE_MAX];
static struct queued *heap[DELAY_QUEUE_MAX];
static struct queued *unused[DELAY_QUEUE_MAX];
static size_t nheap, nunused;
static uint64_t turns;

static bool
earlier(const struct queued *a, const struct queued *b)
{
	return a->due_us != b->due_us ? a->due_us < b->due_us :
	    a->turn < b->turn;
}

static void
swap(size_t i, size_t j)
{
	struct queued *p = heap[i];

	heap[i] = heap[j];
	heap[j] = p;
}

void
delay_queue_clear(void)
{
	size_t i;

	nheap = 0;
	for (i = 0; i < DELAY_QUEUE_MAX; i++)
		unused[i] = &places[i];
	nunused = DELAY_QUEUE_MAX;
}

struct queued *
delay_queue_new(void)
{
	struct queued *p;

	if (nunused == 0)
		return NULL;
	p = unused[--nunused];
	p->turn = turns++;
	return p;
}

void
delay_queue_put(struct queued *p)
{
	size_t i = nheap++;

	heap[i] = p;
	for (; i > 0 && earlier(heap[i], heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(i, (i - 1) / 2);
}

struct queued *
delay_queue_take(void)
{
	struct queued *first = heap[0];
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
delay_queue_done(struct queued *p)
{
	unused[nunused++] = p;
}

int64_t
delay_queue_due(void)
{
	return nheap > 0 ? heap[0]->due_us : INT64_MAX;
}

size_t
delay_queue_count(void)
{
	return nheap;
}

const struct queued *
delay_queue_at(size_t i)
{
	return heap[i];
}
