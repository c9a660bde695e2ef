/* svg_save.c - see svg_save.h */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "closewatch/svg_save.h"

/* rename(2) would replace a device or a symbolic link by a file. */
static bool
can_be_replaced(const char *path)
{
	struct stat st;

	return lstat(path, &st) == -1 ? errno == ENOENT : S_ISREG(st.st_mode);
}

static int
close_written(FILE *fp, int rv)
{
	int error = errno;

	if (fclose(fp) != 0 && rv == 0)
		return -1;
	errno = error;
	return rv;
}

static int
write_through(const char *path, const char *title, const struct svg_ladder *l,
    size_t n)
{
	FILE *fp = fopen(path, "we");

	if (fp == NULL)
		return -1;
	return close_written(fp, svg_write(fp, title, l, n));
}

/* mkostemp() gives the file to its owner alone; this is the usual mode. */
static int
usual_mode(int fd)
{
	mode_t mask = umask(0);

	umask(mask);
	return fchmod(fd, 0666 & ~mask);
}

static int
write_beside(char *beside, const char *title, const struct svg_ladder *l,
    size_t n)
{
	int fd = mkostemp(beside, O_CLOEXEC);
	FILE *fp;

	if (fd == -1)
		return -1;
	if (usual_mode(fd) == 0 && (fp = fdopen(fd, "w")) != NULL)
		return close_written(fp, svg_write(fp, title, l, n));
	close(fd);
	return -1;
}

int
svg_save(const char *path, const char *title, const struct svg_ladder *l,
    size_t n)
{
	char *beside;
	int rv, error;

	if (!can_be_replaced(path))
		return write_through(path, title, l, n);
	if (asprintf(&beside, "%s.XXXXXX", path) == -1)
		return -1;
	rv = write_beside(beside, title, l, n);
	if (rv == 0)
		rv = rename(beside, path);
	error = errno;
	if (rv == -1 && strcmp(beside + strlen(path), ".XXXXXX") != 0)
		unlink(beside);
	free(beside);
	errno = error;
	return rv;
}
