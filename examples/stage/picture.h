/*
 * picture.h - what --svg asks of an example: two of its connections, side by
 * side as ladders, in a file
 *
 * Without a file every call here does nothing.
 */
#ifndef PICTURE_H
#define PICTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "closewatch/ladder.h"
#include "closewatch/svg.h"

#define PICTURE_SYNOPSIS "[--svg file]"
#define PICTURE_USAGE							\
	"  --svg file    draw the loss and its remedy as a picture; this " \
	"needs a capture\n"

void	picture_file(const char *path);
bool	picture_wanted(void);

/*
 * A call of the program at time `at` of the scene, on the connection that was
 * named to tap_connection() last.
 */
void	picture_call(double at, bool server, enum svg_tone tone,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Before the end of a scene: its last connection is to be a column. */
void	picture_column(const char *caption, enum svg_tone tone,
	    const char *verdict, const char *reason);

/* tap.c says when a connection begins, and which rows it had in the end. */
void	picture_begin(void);
void	picture_rows(const struct ladder_row *rows, size_t n);

/* Writes the file, or exits with 1 and one line that says why not. */
void	picture_save(const char *title);

#endif /* PICTURE_H */
