/*
 * wheel.c - a timer wheel: limits at a price that does not depend on how many
 * there are
 *
 * Seven levels of 64 slots.  A timer's level is the highest digit, to the base
 * of 64, in which its time differs from now, its slot is that digit; so all of
 * level 0 is due within 64 ticks, and whatever is in use on a level comes
 * before whatever is on the next.  When the time reaches a slot of a higher
 * level its timers go down, at most six times each.  (Varghese and Lauck,
 * "Hashed and hierarchical timing wheels", 1987, scheme 7.)  A slot may hold
 * every timer that there is, so they go down in several turns.
 */
#include <sys/types.h>

#include <stddef.h>

#include "reaper/wheel.h"

#define DIGIT_BITS	6
#define DIGIT(t, level)	(((t) >> (DIGIT_BITS * (level))) & 63)
#define FALLING		((size_t)GRACECLOSE_LEVELS * GRACECLOSE_SLOTS)
#define MOVES_MAX	64	/* for one pop */

void
graceclose_wheel_init(struct graceclose_wheel *w, int64_t now)
{
	size_t i;

	w->now = now;
	for (i = 0; i <= GRACECLOSE_LEVELS; i++)
		w->used[i] = 0;
	for (i = 0; i < sizeof(w->slot) / sizeof(*w->slot); i++)
		graceclose_link_init(&w->slot[i]);
}

void
graceclose_wheel_set(struct graceclose_wheel *w, struct graceclose_timer *t,
    int64_t due)
{
	size_t slot;
	int level = 0;

	t->due = due > w->now ? due : w->now;
	while (level < GRACECLOSE_LEVELS - 1 &&
	    (t->due ^ w->now) >> (DIGIT_BITS * (level + 1)) != 0)
		level++;
	slot = (size_t)DIGIT(t->due, level);
	w->used[level] |= (uint64_t)1 << slot;
	graceclose_link_append(
	    &w->slot[(size_t)level * GRACECLOSE_SLOTS + slot], &t->link);
}

/* The last link of a slot is next to its head on both sides. */
void
graceclose_wheel_unset(struct graceclose_wheel *w, struct graceclose_timer *t)
{
	struct graceclose_link *head = t->link.next;
	size_t i;

	if (head == NULL)
		return;
	if (head == t->link.prev) {
		i = (size_t)(head - w->slot);
		w->used[i / GRACECLOSE_SLOTS] &=
		    ~((uint64_t)1 << i % GRACECLOSE_SLOTS);
	}
	graceclose_link_remove(&t->link);
}

/* Which compilers know the builtin, only some of them can say. */
#ifndef __has_builtin
#define __has_builtin(name)	0
#endif

/* The number of the lowest bit that is set; one is. */
static int
lowest(uint64_t bits)
{
#if __has_builtin(__builtin_ctzll)
	return __builtin_ctzll(bits);
#else
	int half, n = 0;

	for (half = 32; half > 0; half /= 2)
		if (bits << (64 - half) == 0) {
			bits >>= half;
			n += half;
		}
	return n;
#endif
}

/* The first slot in use: its level and digit; or -1. */
static int
first(const struct graceclose_wheel *w, int *digit)
{
	int level;

	for (level = 0; level < GRACECLOSE_LEVELS; level++)
		if (w->used[level] != 0) {
			*digit = lowest(w->used[level]);
			return level;
		}
	return -1;
}

static int64_t
start(const struct graceclose_wheel *w, int level, int digit)
{
	int bits = DIGIT_BITS * level;

	return (w->now >> (bits + DIGIT_BITS) << (bits + DIGIT_BITS)) |
	    ((int64_t)digit << bits);
}

int64_t
graceclose_wheel_next(const struct graceclose_wheel *w)
{
	int digit, level;

	if (!graceclose_link_empty(&w->slot[FALLING]))
		return w->now;
	level = first(w, &digit);
	return level == -1 ? GRACECLOSE_NEVER : start(w, level, digit);
}

static struct graceclose_timer *
take_first(struct graceclose_wheel *w, size_t slot)
{
	struct graceclose_timer *t =
	    (struct graceclose_timer *)w->slot[slot].next;

	graceclose_wheel_unset(w, t);
	return t;
}

/* A slot of a higher level that the time has reached. */
static void
let_fall(struct graceclose_wheel *w, int level, size_t slot)
{
	w->used[level] &= w->used[level] - 1;	/* it was the first */
	w->used[GRACECLOSE_LEVELS] = 1;
	graceclose_link_splice(&w->slot[FALLING], &w->slot[slot]);
}

struct graceclose_timer *
graceclose_wheel_pop(struct graceclose_wheel *w, int64_t now)
{
	struct graceclose_timer *t;
	int digit, level, moves;
	size_t slot;

	for (moves = 0; moves < MOVES_MAX; moves++) {
		if (!graceclose_link_empty(&w->slot[FALLING])) {
			t = take_first(w, FALLING);
			graceclose_wheel_set(w, t, t->due);
			continue;
		}
		level = first(w, &digit);
		if (level == -1 || start(w, level, digit) > now) {
			w->now = now > w->now ? now : w->now;
			break;
		}
		w->now = start(w, level, digit);
		slot = (size_t)level * GRACECLOSE_SLOTS + (size_t)digit;
		if (level == 0)
			return take_first(w, slot);
		let_fall(w, level, slot);
	}
	return NULL;
}
