/*
 * words.h - connections that ended, and the summary, for the eye
 */
#ifndef WORDS_H
#define WORDS_H

#include <stdint.h>

#include "closewatch/flow.h"
#include "closewatch/tally.h"

/* To standard output: a line; some lines and tables, at most 95 wide. */
void	words_conn(const struct flow *f, int64_t over_us);
void	words_summary(const struct tally_summary *s);

#endif /* WORDS_H */
