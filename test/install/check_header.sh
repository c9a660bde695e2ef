#!/bin/sh
# check_header.sh - the public header compiles alone, and keeps the ABI
#
# test/abi/layout.c has each size, offset and value.  It compiles in every C and
# in C++.  Where clang is installed it compiles for processors whose pointers
# and alignments differ, too: -ffreestanding needs no C library of theirs.
cc=${CC:-cc}
layout=test/abi/layout.c
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

cp $layout "$dir/alone.c"
cp $layout "$dir/alone.cc"
{ echo '#include <sys/epoll.h>'; cat $layout; } >"$dir/epoll.c"

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
command -v clang >/dev/null &&
for target in x86_64-linux-gnu i686-linux-gnu x86_64-linux-gnux32 \
    aarch64-linux-gnu armv7-linux-gnueabihf riscv64-linux-gnu s390x-linux-gnu \
    powerpc64le-linux-gnu mips-linux-gnu m68k-linux-gnu; do
	# Not every clang knows every processor.
	echo 'int x;' | clang --target=$target -x c -fsyntax-only - \
	    2>/dev/null || continue
	try clang --target=$target -ffreestanding -std=c11 "$dir/alone.c"
done

# Nothing of the header is left out.  The members of struct graceclose are
# private.
grep -o 'GRACECLOSE_[A-Z_]*' include/graceclose.h | sort -u |
    grep -vE '^GRACECLOSE_(H|VERSION.*)$' | while read -r name; do
	grep -q "^VALUE($name," $layout || echo "VALUE($name, ...);"
done >"$dir/missing"
"$cc" -E -P -Iinclude include/graceclose.h | tr '\n\t' '  ' | awk -v RS=';' '
    /struct graceclose_[a-z_]* *\{/ { type = $0
	sub(/^.*struct /, "", type); sub(/ *\{.*/, "", type)
	sub(/^.*\{/, "") }
    /\}/ { type = "" }
    type == "" { next }
    /\(\*/ { sub(/^[^(]*\(\*/, ""); sub(/\).*/, "") }
    { gsub(/\[[^]]*\]/, ""); n = split($0, names, ",")
	for (i = 1; i <= n; i++) { sub(/ *$/, "", names[i])
		sub(/.*[ *]/, "", names[i]); print type, names[i] } }
    ' >"$dir/members"
[ "$(grep -c . "$dir/members")" -ge 34 ] || {
	echo "the members were not found in include/graceclose.h"
	status=1
}
while read -r type member; do
	grep -q "^AT($type, $member," $layout || echo "AT($type, $member, ...);"
done <"$dir/members" >>"$dir/missing"
[ ! -s "$dir/missing" ] || {
	echo "$layout lacks:"
	cat "$dir/missing"
	status=1
}
exit $status
