/*
 * descriptors.h - how many descriptors there are, and some that are no
 * connection
 */
#ifndef TEST_DESCRIPTORS_H
#define TEST_DESCRIPTORS_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

int		 t_fd_count(void);

/* Raises RLIMIT_NOFILE to so many, or as far as allowed; returns the limit. */
size_t		 t_files(size_t);

/* The number is free again. */
#define t_released(fd) do {						\
	errno = 0;							\
	ck_assert_int_eq(fcntl((fd), F_GETFD), -1);			\
	t_errno_is(EBADF);						\
} while (0)

/* A descriptor that is no connection, and the errno that a close returns. */
struct t_odd {
	const char	*name;
	int		(*open)(int);
	int		 family;	/* for t_need */
	int		 error;
};
#define T_ODDS		14
extern const struct t_odd t_odds[T_ODDS];
int		 t_odd_open(const struct t_odd *);

#endif /* TEST_DESCRIPTORS_H */
