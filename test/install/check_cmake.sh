#!/bin/sh
# check_cmake.sh - find_package(graceclose) finds what make install installed
#
# A program of two lines is built with CMake against a copy of the installed
# files, shared and static, and runs.  The copy lies elsewhere than PREFIX says,
# in a folder with a space, and is reached through a link as /lib is.  Other
# major versions, newer ones and other sizes of a pointer are refused.
cc=${CC:-cc}
command -v cmake >/dev/null || {
	echo "SKIP check_cmake: no cmake (apt-get install cmake)"
	exit 77
}
case ${CFLAGS-} in *-fsanitize=*)
	echo "SKIP check_cmake: a sanitized library needs more than its target"
	exit 77 ;;
esac
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
die() { echo "check_cmake: $*"; exit 1; }

make_() { "${MAKE:-make}" -s BUILD="${BUILD:-build}" TOOLS= "$@"; }
make_ install DESTDIR="$dir/root" PREFIX=/opt/gc LIBDIR=/opt/gc/lib/arch \
    >"$dir/log" 2>&1 || { cat "$dir/log"; die "make install failed"; }
mkdir "$dir/a copy"
mv "$dir/root/opt/gc" "$dir/a copy/usr"
ln -s usr/lib "$dir/a copy/lib"

mkdir "$dir/use"
cat >"$dir/use/use.c" <<'END'
#include <graceclose.h>
int main(void) { return peer_closed(-1) != -1; }
END
cat >"$dir/use/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.13)
project(use C)
find_package(graceclose 1.0 REQUIRED COMPONENTS shared static)
add_executable(shared use.c)
target_link_libraries(shared graceclose::graceclose)
add_executable(static use.c)
target_link_libraries(static graceclose::static)
END
# use PACKAGES: build and run both programs with the packages of that folder.
use() {
	{ CC=$cc cmake -S "$dir/use" -B "$dir/built" -G 'Unix Makefiles' \
	    -DCMAKE_VERBOSE_MAKEFILE=1 -Dgraceclose_DIR="$1/cmake/graceclose" &&
	    cmake --build "$dir/built" --clean-first; } >"$dir/log" 2>&1 ||
	    { cat "$dir/log"; die "no build with $1"; }
	"$dir/built/shared" || die "the shared program failed"
	"$dir/built/static" || die "the static program failed"
	grep -q "arch/libgraceclose.a" "$dir/log" ||
	    die "graceclose::static links another library"
	ldd "$dir/built/shared" | grep -q "libgraceclose.so.1 => $dir/a copy" ||
	    die "the shared program does not run with the library of the copy"
	ldd "$dir/built/static" | grep -q libgraceclose &&
	    die "the static program asks for the shared library"
	:
}
use "$dir/a copy/usr/lib/arch"
use "$dir/a copy/lib/arch"
lib="$dir/a copy/usr/lib/arch"

# Which requests are served; a space parts the words of one.
version=$(sed -n 's/^VERSION[[:space:]]*= *//p' Makefile)
major=${version%%.*} minor=${version#*.} minor=${minor%%.*}
# shellcheck disable=SC2086 # the flags are words
size=$(echo __SIZEOF_POINTER__ | "$cc" ${CFLAGS-} -E -P -)
mkdir "$dir/ask"
cat >"$dir/ask/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.19)
project(ask NONE)
set(graceclose_DIR "$lib/cmake/graceclose")
function(ask expected size request)
	set(CMAKE_SIZEOF_VOID_P \${size})
	separate_arguments(words UNIX_COMMAND "\${request}")
	find_package(graceclose \${words} QUIET)
	if(NOT graceclose_FOUND STREQUAL expected)
		message(SEND_ERROR "\${size} bytes, \"\${request}\":"
		    " \${graceclose_FOUND} \${graceclose_NOT_FOUND_MESSAGE}")
	endif()
endfunction()
foreach(request "" $major $major.0 $version "$version EXACT"
    "$major.0...<$((major + 1))" "$major.0...$version")
	ask(1 $size "\${request}")
endforeach()
foreach(request $major.$((minor + 1)) $((major + 1)) $((major - 1))
    "$major.0 EXACT" "$major.0...<$version"
    "$major.$((minor + 1))...<$((major + 1))" "COMPONENTS none")
	ask(0 $size "\${request}")
endforeach()
ask(0 $((12 - size)) "")
END
ask() {
	cmake -S "$dir/ask" -B "$dir/asked" >"$dir/log" 2>&1
}
ask || { cat "$dir/log"; die "a request was not answered as it should"; }
rm "$lib/libgraceclose.so"
ask && die "a shared library that is missing is found"
grep -q ': 0 No shared libgraceclose in' "$dir/log" ||
    { cat "$dir/log"; die "CMake does not say what is missing"; }
