/*
 * rights.h - what a test may do here, and a network namespace where it may more;
 * and what not every kernel can
 */
#ifndef TEST_RIGHTS_H
#define TEST_RIGHTS_H

#include "support/runner.h"

/*
 * Why this process may not drop segments, leave a connection in silence, or
 * have a buffer of that size (SO_RCVBUF, SO_SNDBUF) on its sockets; or NULL.
 */
const char	*t_no_filters(void);
const char	*t_no_repair(void);
const char	*t_no_buffer(int, int);
#define t_need_right(no) do {						\
	const char *no_ = (no);						\
									\
	if (no_ != NULL)						\
		t_skip(no_);						\
} while (0)
/* Why the kernel does not show whether a FIN came, or NULL; errno stays. */
const char	*t_no_fin_look(void);
#define t_need_filters()	t_need_right(t_no_filters())
#define t_need_repair()		t_need_right(t_no_repair())
#define t_need_fin_look()	t_need_right(t_no_fin_look())
#define t_need_buffer(opt, n)	t_need_right(t_no_buffer((opt), (n)))

#endif /* TEST_RIGHTS_H */
