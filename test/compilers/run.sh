#!/bin/bash
# run.sh - the library, built without a warning by each compiler, and run
#
# usage: test/compilers/run.sh [PATTERN]	the rows, or those that match it
#        test/compilers/run.sh --list		their names
#
# A row is a compiler with its flags.  It builds lib/ with -Werror and the
# warnings of the Makefile, links a program with it and runs that: smoke.c, or
# suites that are built already.  A line tells of each row; a row whose
# compiler is missing is a SKIP.  The exit status is 1 where a row fails.
#
# In the environment: MAKE, BUILD [build], JOBS [2] rows at once, ALL=1 for each
# compiler that may be installed with each standard and each optimization.
cd "$(dirname "$0")/../.." || exit 1
make=${MAKE:-make}
build=${BUILD:-build}
here=test/compilers
export MAKEFLAGS=	# each row is a make of its own

# Those that ALL=1 tries as well, where they are installed.
others='gcc-11 gcc-13 gcc-14 clang-13 clang-15 clang-16 clang-19'
stds='c11 c17 c2x gnu11 gnu17 gnu2x'
strict='FEATURES=-D_POSIX_C_SOURCE=200809L -U__linux__'
cruel="FEATURES=-D_GNU_SOURCE -U__linux__ -include $here/no_linux.h"

# Where unsigned arithmetic wraps, or a conversion loses a bit, the program ends.
integer='-O1 -g -fsanitize=integer -fno-sanitize-recover=integer'

# row NAME COMPILER KIND CFLAGS [VARIABLE=VALUE]: a line with tabs.
row() { printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "${5-}"; }

rows() {
	local cc opt std
	for cc in gcc clang; do
		# Each standard and each optimization once.
		row "$cc c11 -O0" $cc whole '-std=c11 -O0'
		row "$cc c17 -O1" $cc whole '-std=c17 -O1'
		row "$cc c2x -O2" $cc whole '-std=c2x -O2'
		row "$cc gnu11 -O3" $cc whole '-std=gnu11 -O3'
		row "$cc gnu17 -Os" $cc whole '-std=gnu17 -Os'
		row "$cc gnu2x -flto" $cc shared '-std=gnu2x -O2 -flto'
		row "$cc hardening" $cc hardened ''
		row "$cc PORTABLE" $cc whole '-O2' PORTABLE=1
		row "$cc POSIX alone" $cc whole '-O1' "$strict"
		row "$cc no Linux" $cc whole '-O1' "$cruel"
		row "$cc header" $cc header ''
	done
	row 'clang integer' clang suites "$integer"
	row 'clang integer PORTABLE' clang whole "$integer" PORTABLE=1
	row 'tcc' tcc tiny ''
	row 'tcc PORTABLE' tcc whole '' PORTABLE=1
	[ -n "${ALL-}" ] || return 0
	for cc in gcc clang $others; do
		for std in $stds; do
			for opt in 0 1 2 3 s; do
				row "$cc $std -O$opt each" "$cc" whole \
				    "-std=$std -O$opt"
			done
		done
		row "$cc -flto" "$cc" shared '-O2 -flto'
	done
}

# --- one row ---------------------------------------------------------------

# Which flags and files make would use: it writes them down for itself.
variant() {
	case $variable in
	'')		set -- linux ;;
	PORTABLE=1)	set -- portable "$variable" ;;
	*no_linux.h)	set -- cruel PORTABLE=1 "$variable" ;;
	*)		set -- strict PORTABLE=1 "$variable" ;;
	esac
	local file=$work/$1/flags
	shift
	[ -s "$file" ] || "$make" -s CC=cc CFLAGS= CPPFLAGS=-Werror DEPS= \
	    BUILD="${file%/*}" "$@" "$file" || return
	read -ra from_make <"$file"
	from_make=("${from_make[@]:1}" -Ilib)
}

# whole FLAG...: smoke.c and every file of lib/, in one run of the compiler.
whole() {
	variant && "$cc" "${from_make[@]}" "$@" -o "$dir/smoke" \
	    $here/smoke.c -pthread && "$dir/smoke"
}

# lib TARGET [VARIABLE=VALUE...]: make builds it into $dir.
lib() {
	local target=$dir/$1
	shift
	"$make" -s CC="$cc" BUILD="$dir" CPPFLAGS=-Werror "$@" "$target"
}

# smoke LIBRARY [FLAG...]: links it with the row's compiler, and runs it.
smoke() {
	local library=$dir/$1
	shift
	"$cc" -std=c11 -D_GNU_SOURCE -Iinclude "$@" -o "$dir/smoke" \
	    $here/smoke.c "$library" -pthread &&
	    LD_LIBRARY_PATH=$dir "$dir/smoke"
}

# suites FLAG... -- NAME...: suites of the tree with the row's library.
suites() {
	local flags=() libs name
	while [ "$1" != -- ]; do
		flags+=("$1")
		shift
	done
	shift
	libs=$(pkg-config --libs check libbsd) || return
	libs+=" $(pkg-config --libs libpcap 2>/dev/null)"
	for name; do
		# shellcheck disable=SC2086 # the libraries are words
		"${link:-$cc}" "${flags[@]}" -o "$dir/${name##*/}" \
		    "$build/obj/test/$name.o" "$build/obj/test.a" \
		    "$build/obj/tools.a" "$dir/libgraceclose.a" $libs \
		    -pthread || return
		"$dir/${name##*/}" >"$dir/log" 2>&1 || {
			grep -e ': runtime error: ' -e ':[FE]:' "$dir/log" |
			    sort | uniq -c | head -n 20
			tail -n 3 "$dir/log"
			return 1
		}
	done
}

# Debian's: what dpkg-buildpackage would build with, and all that it could.
hardened() {
	local cflags ldflags
	command -v dpkg-buildflags >/dev/null || {
		echo 'SKIP: apt-get install dpkg-dev'
		return 77
	}
	export DEB_BUILD_MAINT_OPTIONS=hardening=+all
	cflags="$(dpkg-buildflags --get CPPFLAGS) $(dpkg-buildflags \
	    --get CFLAGS)"
	ldflags=$(dpkg-buildflags --get LDFLAGS)
	lib libgraceclose.so CFLAGS="$cflags" LDFLAGS="$ldflags" || return
	# shellcheck disable=SC2086 # flags are words
	smoke libgraceclose.so $cflags $ldflags -Werror
}

run_row() {
	local flags
	read -ra flags <<<"$cflags"
	case $kind in
	whole)	whole "${flags[@]}" ;;
	shared)	lib libgraceclose.so CFLAGS="$cflags" &&
		    smoke libgraceclose.so "${flags[@]}" ;;
	hardened)
		hardened ;;
	suites)	lib libgraceclose.a CFLAGS="$cflags" &&
		    smoke libgraceclose.a "${flags[@]}" &&
		    suites "${flags[@]}" -- api/reaper/check_wheel \
			api/reaper/check_reaper_full api/check_begin ;;
	# Without builtins: the timer wheel, too.  gcc links its suite.
	tiny)	lib libgraceclose.so CFLAGS= DEPS= &&
		    smoke libgraceclose.so &&
		    lib libgraceclose.a CFLAGS= DEPS= &&
		    link=gcc suites -- api/reaper/check_wheel ;;
	header)	CC=$cc sh test/install/check_header.sh ;;
	esac
}

# The row of "$1", a line of rows; it prints one line, or more where it fails.
one() {
	local name cc kind cflags variable status start=${EPOCHREALTIME/./}
	IFS='|' read -r name cc kind cflags variable <<<"${1//$'\t'/|}"
	command -v "$cc" >/dev/null || {
		echo "SKIP	$name	apt-get install $cc"
		return
	}
	dir=$work/${name//[ \/]/_}	# a path without a space
	mkdir -p "$dir"
	run_row >"$dir/out" 2>&1
	status=$?
	start=$(((${EPOCHREALTIME/./} - start) / 100000))
	case $status in
	0)	printf 'ok\t%s\t%s\t%d.%d s\n' "$name" \
		    "$cflags" $((start / 10)) $((start % 10)) ;;
	77)	printf 'SKIP\t%s\t%s\n' "$name" "$(tail -n 1 "$dir/out")" ;;
	*)	printf 'FAILED\t%s\t%s %s\n' "$name" "$cflags" "$variable"
		sed 's/^/	/' "$dir/out" | head -n 40 ;;
	esac
	rm -rf "$dir"
}

# --- all rows --------------------------------------------------------------

case ${1-} in
--one)	work=$2
	one "$3" | expand -t 10,36,72
	exit ;;
--list)	rows | cut -f 1
	exit ;;
esac

[ -e "$build/obj/test/api/reaper/check_wheel.o" ] || {
	echo "error: $build has no suites: make compilers builds them" >&2
	exit 1
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

for cc in gcc clang tcc; do
	command -v $cc >/dev/null && $cc --version 2>/dev/null | head -n 1
done
rows | grep -e "${1-}" >"$work/rows"
[ -s "$work/rows" ] || {
	echo "error: no row matches '$1': $0 --list names them" >&2
	exit 1
}
for variable in '' PORTABLE=1 "$strict" "$cruel"; do
	variant || exit 1
done
xargs -d '\n' -P "${JOBS:-2}" -I '{}' "$0" --one "$work" '{}' \
    <"$work/rows" | tee "$work/table"
count() { grep -c "^$1 " "$work/table"; }
echo "$(count ok) passed, $(count FAILED) failed, $(count SKIP) skipped"
[ "$(count FAILED)" = 0 ] &&
    [ $(($(count ok) + $(count SKIP))) -eq "$(wc -l <"$work/rows")" ]
