/*
 * chosen.h - the connection of a capture that --svg draws
 *
 * That is the first that lost data or was reset; else the first that ended;
 * else the first that was seen.  Of a connection no more is drawn than the
 * last segments of the capture so far that find room here.
 */
#ifndef CHOSEN_H
#define CHOSEN_H

#include "closewatch/flow.h"
#include "closewatch/segment.h"

struct chosen;

/*
 * Opens the file, so that the process may give up its privileges afterwards,
 * and leaves what is in it.  NULL and errno.
 */
struct chosen *chosen_open(const char *path);

/* Each segment of the capture, and each connection when it has ended. */
void	chosen_segment(struct chosen *c, const struct segment *s);
void	chosen_ended(struct chosen *c, const struct flow *f);

/* Writes the picture and frees c; -1 and errno: the file is not whole. */
int	chosen_save(struct chosen *c);

#endif /* CHOSEN_H */
