#!/bin/sh
# With the suppressions that make install brings, valgrind finds no error in a
# program that closes with late input: linked to the shared library, to the
# stripped one, and statically.  Without them it finds one in each function that
# discards.  `make valgrind' runs this.
cc=${CC:-cc}
build=${BUILD:-build}
suppressions=lib/graceclose.supp
command -v valgrind >/dev/null || {
	echo "SKIP check_valgrind: no valgrind (apt-get install valgrind)"
	exit 77
}
if grep -qs GRACECLOSE_PORTABLE "$build/flags"; then
	echo "SKIP check_valgrind: plain POSIX discards into a buffer"
	exit 77
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
status=0
bad() { echo "check_valgrind: $*"; status=1; }

cat >"$dir/late.c" <<'EOC'
#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
#include <graceclose.h>

static int peer;

/* The near end of a connection whose peer has sent four bytes. */
static int
connection(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int near, listener = socket(AF_INET, SOCK_STREAM, 0);
	struct pollfd p = { .events = POLLIN };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	near = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&a, len) == -1 ||
	    listen(listener, 1) == -1 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) == -1 ||
	    connect(near, (struct sockaddr *)&a, len) == -1 ||
	    (peer = accept(listener, NULL, NULL)) == -1 ||
	    write(peer, "late", 4) != 4)
		exit(2);
	p.fd = near;
	if (close(listener) == -1 || poll(&p, 1, 10000) != 1)
		exit(2);
	return near;
}

int
main(int argc, char **argv)
{
	const struct linger reset = { 1, 0 };
	int fd = connection();
	struct pollfd p = { .fd = fd };
	struct graceclose gc;

	if (argc != 2)
		return 2;
	switch (argv[1][11]) {
	case 's':		/* graceclose_step discards */
		close(peer);
		return graceful_close(fd) != 0;
	case 'e':		/* graceclose_end discards: no step was made */
		graceclose_begin(&gc, fd, NULL);
		graceclose_end(&gc, NULL);
		return 0;
	default:		/* graceclose_begin discards: the peer has reset */
		setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(peer);
		poll(&p, 1, 10000);
		graceclose_begin(&gc, fd, NULL);
		graceclose_end(&gc, NULL);
		return 0;
	}
}
EOC
mkdir "$dir/stripped"
cp -L "$build/libgraceclose.so" "$dir/stripped/libgraceclose.so.1" &&
    strip "$dir/stripped/libgraceclose.so.1" || exit 1
set -- -std=c11 -D_GNU_SOURCE -Iinclude "$dir/late.c"
"$cc" "$@" -o "$dir/dynamic" -L"$build" -lgraceclose || exit 1
"$cc" "$@" -o "$dir/static" "$build/libgraceclose.a" -pthread || exit 1

# Memcheck shows an error once a run: one function a run.
watched() {	# watched PATH PROGRAM FUNCTION [OPTION...]: 9 for an error
	path=$1 program=$2 function=$3
	shift 3
	LD_LIBRARY_PATH=$path valgrind -q --error-exitcode=9 "$@" \
	    "$dir/$program" "$function" >"$dir/log" 2>&1
}

try() {	# try WHAT PATH PROGRAM
	for f in graceclose_begin graceclose_step graceclose_end; do
		watched "$2" "$3" $f
		[ $? -eq 9 ] || bad "$1, $f, no suppressions: no error"
		grep -q " $f (" "$dir/log" ||
		    bad "$1, $f, no suppressions: $f is not in the stack"
		watched "$2" "$3" $f --suppressions="$suppressions" ||
		    bad "$1, $f: $(cat "$dir/log")"
	done
}
try 'shared library' "$build" dynamic
try 'stripped shared library' "$dir/stripped" dynamic
try 'static library' '' static
exit $status
