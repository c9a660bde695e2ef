/*
 * svg.h - ladders as a picture: SVG that a page can show, in light and dark
 *
 * The picture has no script and refers to nothing outside of it; its text is
 * text.  The same rows make the same picture, to the byte.
 */
#ifndef SVG_H
#define SVG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "closewatch/ladder.h"

enum svg_tone { SVG_PLAIN, SVG_GOOD, SVG_BAD };

/* A call of the program at one end, between the segments by its time. */
struct svg_note {
	int64_t		 us;		/* as in struct ladder_row */
	bool		 server;	/* whose call, else the client's */
	enum svg_tone	 tone;
	const char	*text;
};

/*
 * One column.  Rows below `first` are not drawn; the states after them stand
 * at the top.  Notes are in the order of their time.
 */
struct svg_ladder {
	const char		*caption;
	const char		*client, *server;	/* NULL: these words */
	const struct ladder_row	*rows;
	size_t			 n, first;
	const struct svg_note	*notes;
	size_t			 nnotes;
	const char		*verdict, *reason;	/* the lines below it */
	enum svg_tone		 tone;			/* of the verdict */
};

/*
 * Draws n ladders side by side.  Two of them are legible on a screen that is
 * 360 pixels wide.  Text is ASCII: each other byte becomes a question mark.
 * -1 with errno: not all could be written.
 */
int	svg_write(FILE *out, const char *title, const struct svg_ladder *l,
	    size_t n);

#endif /* SVG_H */
