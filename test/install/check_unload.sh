#!/bin/sh
# A program may load the shared library, begin a close in the background, and
# unload it: the thread of the reaper runs on, because the library stays.
cc=${CC:-cc}
build=${BUILD:-build}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
die() { echo "check_unload: $*"; exit 1; }

lib=$build/libgraceclose.so
[ -f "$lib" ] || die "$lib is not built"
case ${CFLAGS-} in *-fsanitize=*)
	echo "SKIP check_unload: a sanitizer stays loaded with its library"
	exit 77 ;;
esac

if command -v readelf >/dev/null; then
	readelf -d "$lib" | grep -q NODELETE ||
	    die "$lib is not linked with -z nodelete"
fi

# The peer keeps its side open while the library is unloaded, and for some time
# after that; then it finishes, and the thread must close our side.
cat >"$dir/unload.c" <<'PROGRAM'
#include <sys/socket.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
#include <graceclose.h>

static int
fail(const char *what)
{
	printf("%s\n", what);
	return 1;
}

int
main(int argc, char **argv)
{
	struct graceclose_opts o = { .timeout_ms = -1, .idle_ms = -1 };
	struct graceclose_reaper *(*new)(const struct graceclose_reaper_opts *);
	int (*reap)(struct graceclose_reaper *, int,
	    const struct graceclose_opts *, void *);
	struct graceclose_reaper *r;
	int fds[2], i;
	void *lib;
	char c;

	if (argc != 2 || (lib = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL)) == NULL)
		return fail(dlerror());
	*(void **)&new = dlsym(lib, "graceclose_reaper_new");
	*(void **)&reap = dlsym(lib, "graceclose_reaper_close");
	if (new == NULL || reap == NULL)
		return fail("a symbol is missing");
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -1 ||
	    (r = new(NULL)) == NULL || reap(r, fds[0], &o, NULL) == -1)
		return fail("the close does not begin");
	if (dlclose(lib) != 0)
		return fail("dlclose");
	(void)poll(NULL, 0, 100);
	if (read(fds[1], &c, 1) != 0)
		return fail("the peer got no FIN");
	close(fds[1]);
	for (i = 0; fcntl(fds[0], F_GETFD) != -1; i++) {
		if (i == 5000)
			return fail("the thread closes nothing any more");
		(void)poll(NULL, 0, 1);
	}
	return 0;
}
PROGRAM
"$cc" -std=c11 -D_GNU_SOURCE -Iinclude -o "$dir/unload" "$dir/unload.c" -ldl ||
    die "does not compile"
case $lib in /*) ;; *) lib=./$lib ;; esac
"$dir/unload" "$lib" >"$dir/log" 2>&1
status=$?
[ $status -eq 0 ] || { cat "$dir/log"; die "the program ended with $status"; }
