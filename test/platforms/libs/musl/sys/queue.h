/*
 * sys/queue.h - the part that the tests and closewatch use, for musl, which has
 * no such header
 */
#ifndef PLATFORMS_MUSL_QUEUE_H
#define PLATFORMS_MUSL_QUEUE_H

/* `last` and `back` are where the pointer to the next one has to be stored. */
#define TAILQ_HEAD(head, type)						\
struct head { struct type *first, **last; }
#define TAILQ_ENTRY(type)						\
struct { struct type *next, **back; }
#define TAILQ_HEAD_INITIALIZER(h)	{ NULL, &(h).first }
#define TAILQ_INIT(h)		((h)->first = NULL, (h)->last = &(h)->first)
#define TAILQ_FIRST(h)		((h)->first)
#define TAILQ_EMPTY(h)		((h)->first == NULL)
#define TAILQ_NEXT(e, field)	((e)->field.next)
#define TAILQ_FOREACH(e, h, field)					\
	for ((e) = (h)->first; (e) != NULL; (e) = (e)->field.next)
#define TAILQ_INSERT_TAIL(h, e, field) do {				\
	(e)->field.next = NULL;						\
	(e)->field.back = (h)->last;					\
	*(h)->last = (e);						\
	(h)->last = &(e)->field.next;					\
} while (0)
#define TAILQ_REMOVE(h, e, field) do {					\
	if ((e)->field.next != NULL)					\
		(e)->field.next->field.back = (e)->field.back;		\
	else								\
		(h)->last = (e)->field.back;				\
	*(e)->field.back = (e)->field.next;				\
} while (0)

#define LIST_HEAD(head, type)						\
struct head { struct type *first; }
#define LIST_ENTRY(type)						\
struct { struct type *next, **back; }
#define LIST_FIRST(h)		((h)->first)
#define LIST_NEXT(e, field)	((e)->field.next)
#define LIST_INSERT_HEAD(h, e, field) do {				\
	(e)->field.next = (h)->first;					\
	(e)->field.back = &(h)->first;					\
	if ((h)->first != NULL)						\
		(h)->first->field.back = &(e)->field.next;		\
	(h)->first = (e);						\
} while (0)
#define LIST_REMOVE(e, field) do {					\
	if ((e)->field.next != NULL)					\
		(e)->field.next->field.back = (e)->field.back;		\
	*(e)->field.back = (e)->field.next;				\
} while (0)

#endif /* PLATFORMS_MUSL_QUEUE_H */
