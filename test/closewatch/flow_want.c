/* flow_want.c - see flow_want.h */
#include <string.h>

#include "closewatch/flow_want.h"
#include "support/util.h"

struct segment	segments[SEGMENTS_MAX];
size_t		nsegments;

const uint32_t	turns[TURNS] = { 0, 0xffffffff, 0xfffffe00, 0x7fffffff,
    0x7ffffe00 };

void
compare(const char *name, const struct flow *f, const struct want *want)
{
	char story[FLOW_STORY_SIZE];

	flow_story(f, story);
	ck_assert_msg(strcmp(story, want->story) == 0, "%s: \"%s\"", name,
	    story);
	ck_assert_int_eq(f->end, want->end);
	ck_assert_int_eq(f->why, want->why);
	ck_assert_int_eq(f->first, want->first);
	ck_assert_int_eq(f->reset_by, want->reset_by);
	ck_assert_int_eq(flow_over(f), want->over);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(flow_lost(f, i), want->lost[i]);
		ck_assert_uint_eq(flow_sent(f, i), want->sent[i]);
	}
}

int
feed_all(struct flow *f, size_t from, size_t to)
{
	int flows = 1;

	ck_assert_uint_lt(from, to);
	flow_begin(f, &segments[from]);
	for (size_t i = from + 1; i < to; i++) {
		if (flow_has(f, &segments[i])) {
			flow_feed(f, &segments[i]);
			continue;
		}
		flow_begin(f, &segments[i]);
		flows++;
	}
	return flows;
}

void
make_sense(const struct flow *f)
{
	char story[FLOW_STORY_SIZE];

	for (int i = 0; i < 2; i++) {
		ck_assert_uint_le(flow_lost(f, i), flow_sent(f, i));
		ck_assert_uint_le(flow_sent(f, i), f->side[i].span);
	}
	ck_assert_uint_gt(strlen(flow_story(f, story)), 0);
	ck_assert_uint_lt(strlen(story), FLOW_STORY_SIZE - 1);
	if (flow_over(f))
		ck_assert_int_ne(f->first, NOBODY);
	ck_assert_int_eq(f->reset_by != NOBODY,
	    f->end == FLOW_RESET || f->end == FLOW_REFUSED);
}
