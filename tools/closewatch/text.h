/*
 * text.h - the lines for people: connections that ended, and the summary
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdint.h>

#include "closewatch/flow.h"
#include "closewatch/tally.h"

/* To standard output: one line; lines and tables, at most 102 columns wide. */
void	text_conn(const struct flow *f, int64_t over_us);
void	text_summary(const struct tally_summary *s);

#endif /* TEXT_H */
