/*
 * svg_save.h - the picture of svg.h in a file
 */
#ifndef SVG_SAVE_H
#define SVG_SAVE_H

#include <stddef.h>

#include "closewatch/svg.h"

/*
 * Writes a new file beside `path` and renames it, so that `path` has all of
 * the picture, or what it had before.  Where `path` is no regular file, such
 * as a terminal, svg_save() writes to it directly.  -1 with errno.
 */
int	svg_save(const char *path, const char *title,
	    const struct svg_ladder *l, size_t n);

#endif /* SVG_SAVE_H */
