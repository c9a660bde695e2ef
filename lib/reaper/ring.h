/*
 * ring.h - a doubly linked ring; its head is a link, too
 */
#ifndef GRACECLOSE_RING_H
#define GRACECLOSE_RING_H

#include <stdbool.h>
#include <stddef.h>

struct graceclose_link {
	struct graceclose_link	*next, *prev;
};

static inline void
graceclose_link_init(struct graceclose_link *head)
{
	head->next = head->prev = head;
}

static inline bool
graceclose_link_empty(const struct graceclose_link *head)
{
	return head->next == head;
}

static inline void
graceclose_link_append(struct graceclose_link *head, struct graceclose_link *l)
{
	l->next = head;
	l->prev = head->prev;
	l->prev->next = l;
	head->prev = l;
}

/* Moves all of a ring to the end of another. */
static inline void
graceclose_link_splice(struct graceclose_link *head,
    struct graceclose_link *from)
{
	if (from->next == from)
		return;
	from->next->prev = head->prev;
	head->prev->next = from->next;
	from->prev->next = head;
	head->prev = from->prev;
	graceclose_link_init(from);
}

static inline void
graceclose_link_remove(struct graceclose_link *l)
{
	l->next->prev = l->prev;
	l->prev->next = l->next;
	l->next = l->prev = NULL;
}

#endif /* GRACECLOSE_RING_H */
