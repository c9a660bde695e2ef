/*
 * check_corpus.c - what fuzz_closer.c has found worth keeping, once more
 *
 * No fuzzer is needed, nor clang.  In one process each input takes less than a
 * millisecond, so one test runs them all; where a promise is broken it says
 * which, and by which file.
 */
#include <sys/types.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/util.h"

#define INPUT_MAX	4096

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static char	file[512];

/* What abort(3) is about. */
static void
say_which(int sig)
{
	(void)!write(STDERR_FILENO, file, strlen(file));
	(void)!write(STDERR_FILENO, "\n", 1);
	(void)signal(sig, SIG_DFL);
}

static void
replay(void)
{
	static uint8_t bytes[INPUT_MAX];
	FILE *f = fopen(file, "r");
	size_t n;

	ck_assert_msg(f != NULL, "%s: %s", file, strerror(errno));
	n = fread(bytes, 1, sizeof(bytes), f);
	ck_assert(feof(f) && fclose(f) == 0);
	ck_assert_int_eq(LLVMFuzzerTestOneInput(bytes, n), 0);
}

START_TEST(every_close_of_the_corpus_keeps_the_promise)
{
	char corpus[200];
	struct dirent *e;
	size_t n = 0;
	DIR *dir;

#ifdef GRACECLOSE_PORTABLE
	t_skip("the model is of what Linux can be asked");
#endif
	t_beside(corpus, sizeof(corpus), __FILE__, "corpus_closer");
	if ((dir = opendir(corpus)) == NULL)
		t_skip("no corpus here: not the top of the sources");
	(void)signal(SIGABRT, say_which);
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%s/%s", corpus, e->d_name);
		replay();
		n++;
	}
	(void)closedir(dir);
	(void)signal(SIGABRT, SIG_DFL);
	ck_assert_uint_gt(n, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("corpus");
	TCase *tc = t_case(s, "closer");

	tcase_add_test(tc, every_close_of_the_corpus_keeps_the_promise);
	return t_main(s);
}

/* Last, as from here on a system call is none; check.h has old names. */
#undef fail
#include "fuzz/fuzz_closer.c"	/* NOLINT(bugprone-suspicious-include) */
