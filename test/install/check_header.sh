#!/bin/sh
# The public header compiles alone, in every C and in C++, and has the sizes
# that the ABI promises.
cc=${CC:-cc}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

cat >"$dir/alone.c" <<'EOF'
#include <graceclose.h>
typedef char closer_is_128_bytes[sizeof(struct graceclose) == 128 ? 1 : -1];
typedef char opts_are_48_bytes[sizeof(struct graceclose_opts) == 48 ? 1 : -1];
typedef char report_is_56_bytes[sizeof(struct graceclose_report) == 56 ? 1 : -1];
#ifdef __LP64__	/* the others hold no pointer */
typedef char reaper_opts_are_56_bytes[
    sizeof(struct graceclose_reaper_opts) == 56 ? 1 : -1];
#endif
typedef char reaper_stats_are_96_bytes[
    sizeof(struct graceclose_reaper_stats) == 96 ? 1 : -1];
struct graceclose_reaper_opts no_options;
struct graceclose_reaper_stats no_closes;
EOF
cp "$dir/alone.c" "$dir/alone.cc"
cat >"$dir/epoll.c" <<'EOF'
#include <sys/epoll.h>
#include <graceclose.h>
unsigned asked = GRACECLOSE_EPOLL;
EOF

status=0
try() {
	"$@" -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only || {
		echo "failed: $*"
		status=1
	}
}
for std in c99 c11 c17 c2x gnu99 gnu2x; do
	try "$cc" -std=$std "$dir/alone.c"
done
try "$cc" -std=c11 -Wconversion -Wc++-compat -Wstrict-prototypes "$dir/alone.c"
try "$cc" -std=c11 "$dir/epoll.c"
for cxx in g++ clang++; do
	command -v $cxx >/dev/null || {
		echo "not tried: $cxx is missing"
		continue
	}
	for std in c++11 c++14 c++17 c++20 c++2b gnu++11; do
		try $cxx -std=$std "$dir/alone.cc"
	done
	try $cxx -std=c++11 -Wold-style-cast -Wzero-as-null-pointer-constant \
	    "$dir/alone.cc"
done
exit $status
