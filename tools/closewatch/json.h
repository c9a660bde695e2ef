/*
 * json.h - connections that ended, and the summary, for programs: an object a
 * line (RFC 8259); the head of closewatch.c tells what is in them
 */
#ifndef JSON_H
#define JSON_H

#include <stdint.h>

#include "closewatch/flow.h"
#include "closewatch/tally.h"

/* To standard output. */
void	json_conn(const struct flow *f, int64_t over_us);
void	json_summary(const struct tally_summary *s);

#endif /* JSON_H */
