/*
 * json.h - the lines for programs: connections that ended, and the summary, one
 * object a line (RFC 8259); closewatch(8) names the keys
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
