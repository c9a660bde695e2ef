#!/bin/bash
# run.sh - the library for other C libraries and processors
#
# usage: test/platforms/run.sh ROW...
#
# A row is musl, i686, arm64, armhf, riscv64, ppc64el or s390x.  Each builds the
# library, static and shared, with the warnings of the Makefile, and runs
# smoke.c with both: in an emulator where this kernel runs no such programs.
# 32-bit rows do all of it with a 64-bit time_t as well.  i686, arm64 and s390x
# run smoke.c again, as the first process of Debian's kernel in an emulated
# machine.
# musl and i686 run the suites, linked statically, where this kernel runs them.
# A row is a line; its logs are in build/platforms/ROW.
#
# A warning in lib/ and a wrong answer fail the row: status 1.  What the machine
# does not have is a SKIP that names the package.  Status 77: nothing but SKIPs.
#
# GUEST=6.1 runs the suites of i686 in a virtual machine with that kernel, where
# this one runs none.  That takes half an hour or more: TIME [1800] is its limit
# in seconds.
#
# JOBS [4] suites run at once.  SUITES= runs none of them, and SUITES="check_a
# check_b" these.  BOOT= boots no kernel.
set -u
here=$(dirname "$0")
: "${BUILD:=build}" "${JOBS:=4}" "${MAKE:=make}" "${SUITES=check_*}" \
    "${BOOT=yes}"
export JOBS LC_ALL=C
warnings='-Wall -Wextra -Wpedantic -Wconversion -Wshadow'
libs=$here/libs
time64='-D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64'

say() {			# one more part of the row's line
	line+=${line:+; }$*
}

# setup ROW: its compiler, where that is from, its emulator, and the flags that
# each of its builds adds.
setup() {
	row=$1 line='' emulator='' more='' ldflags='' suites=no builds=('') machine=()
	links='static shared'
	triplet=$1-linux-gnu debian=$1
	case $1 in
	musl)	triplet='' suites=yes ;;
	# qemu-i386 of Debian 12 does not end with a program that is linked
	# dynamically and has threads.
	i686)	emulator=i386 debian=i386 suites=yes builds+=("$time64")
		links=static qemu=qemu-system-x86_64 system=qemu-system-x86
		console=ttyS0 machine=(-M q35 -cpu max -serial stdio) ;;
	arm64)	emulator=aarch64 triplet=aarch64-linux-gnu
		qemu=qemu-system-aarch64 system=qemu-system-arm
		console=ttyAMA0
		machine=(-M virt -cpu cortex-a57 -serial stdio) ;;
	armhf)	emulator=arm triplet=arm-linux-gnueabihf builds+=("$time64") ;;
	riscv64) emulator=$1 ;;
	s390x)	emulator=$1 qemu=qemu-system-s390x system=qemu-system-misc
		console=ttysclp0
		machine=(-M s390-ccw-virtio -chardev 'stdio,id=out'
		    -device 'sclpconsole,chardev=out') ;;
	ppc64el) emulator=ppc64le triplet=powerpc64le-linux-gnu ;;
	*)	echo "error: no row $1: musl i686 arm64 armhf riscv64" \
		    "ppc64el s390x" >&2
		exit 2 ;;
	esac
	cc=musl-gcc packages=musl-tools
	if [ -n "$triplet" ]; then
		cc=$triplet-gcc
		packages="gcc-$triplet libc6-dev-$debian-cross"
	fi
}

# musl-gcc leaves out the kernel's headers; Alpine has them as linux-headers.
# A thread of musl has 128 KiB of stack, too little for those of some tests.
setup_musl() {
	local from
	for from in linux asm-generic "$(gcc -print-multiarch)/asm"; do
		[ -d "/usr/include/$from" ] || continue
		mkdir -p "$dir/kernel"
		ln -sfn "/usr/include/$from" "$dir/kernel/${from##*/}"
	done
	more="-isystem $libs/musl"
	cflags="$cflags -idirafter $dir/kernel"
	ldflags=-Wl,-z,stack-size=1048576
}

# build TARGET: as the Makefile does, with no library of this machine.
build() {
	$MAKE -s -k CC="$cc" AR=ar BUILD="$dir" CPPFLAGS= PORTABLE= \
	    CFLAGS="$cflags" LDFLAGS="$ldflags" PKG_CONFIG=true \
	    PCAP_CFLAGS="$more" PCAP_LIBS= SSL_CFLAGS= SSL_LIBS= \
	    CHECK_CFLAGS="$more -isystem $libs/include -Wno-overflow" \
	    CHECK_LIBS="$dir/libs.a -pthread -static" "$1" \
	    >>"$dir/build.log" 2>&1
}

compile() {
	# shellcheck disable=SC2086 # lists of flags
	"$cc" -std=c11 -D_GNU_SOURCE $warnings -Werror $cflags $ldflags "$@" \
	    >>"$dir/build.log" 2>&1
}

# --- the library, and questions to it ------------------------------------

# A program of no more than an exit status: can this kernel run the like?
native() {
	[ -n "$emulator" ] || return 0
	echo 'int main(void) { return 7; }' >"$dir/seven.c"
	compile -static -o "$dir/seven" "$dir/seven.c"
	"$dir/seven" 2>/dev/null
	[ $? -eq 7 ]
}

# smoke KIND LINK...: the last line has the counts, or there was none.
smoke() {
	local kind=$1 log=$dir/smoke-$1 status
	shift
	compile -Iinclude -o "$dir/smoke_$kind" "$here/smoke.c" "$@" -pthread || {
		say "smoke.c does not build: see $dir/build.log"
		return 1
	}
	# shellcheck disable=SC2086 # the emulator and its arguments
	LD_LIBRARY_PATH=$dir timeout -s KILL 120 $emulate "$dir/smoke_$kind" \
	    >"$log" 2>&1
	status=$?
	say "smoke ($kind$note) $(tail -n 1 "$log")"
	[ $status -eq 0 ] && grep -q ' passed, 0 failed,' "$log" && return
	cat "$log" >&2
	return 1
}

# library FLAGS: a build of it, with these flags, and what it answers.
library() {
	local count note=''
	dir=$BUILD/platforms/$row cflags="-O2 $1"
	[ -z "$1" ] || dir=$dir/time64 note=', 64-bit time_t'
	mkdir -p "$dir"
	rm -f "$dir/build.log"
	[ "$row" != musl ] || setup_musl
	build lib
	local status=$?
	count=$(grep -c 'warning:' "$dir/build.log")
	say "library$note warnings $count"
	if [ $status -ne 0 ] || [ "$count" -ne 0 ]; then
		cat "$dir/build.log" >&2
		return 1
	fi
	emulate=
	if native; then
		links='static shared'
	else
		emulate="qemu-$emulator-static -L /usr/$triplet"
		note+=", emulated"
		command -v "qemu-$emulator-static" >/dev/null || {
			say "SKIP smoke: apt-get install qemu-user-static"
			return 0
		}
	fi
	smoke static -static "$dir/libgraceclose.a" &&
	    { [ "$links" = static ] || smoke shared -L"$dir" -lgraceclose; }
}

# On a kernel of that processor, which answers all questions.
boot() {
	dir=$BUILD/platforms/$row
	command -v "$qemu" >/dev/null || {
		say "SKIP kernel: apt-get install $system"
		return 0
	}
	command -v cpio >/dev/null || {
		say "SKIP kernel: apt-get install cpio"
		return 0
	}
	"$here/../guest/kernel.sh" 6.1 "$dir/kernel" "${row/#i686/amd64}" \
	    >"$dir/kernel.log" || {
		say "SKIP kernel: $(tail -n 1 "$dir/kernel.log")"
		return 0
	}
	mkdir -p "$dir/root"
	cp "$dir/smoke_static" "$dir/root/init"
	(cd "$dir/root" && echo init | cpio --quiet -o -H newc -R 0:0) \
	    >"$dir/kernel/initrd"
	timeout -s KILL 300 "$qemu" "${machine[@]}" -m 512M -nodefaults -no-reboot \
	    -display none -kernel "$dir/kernel/vmlinuz" \
	    -initrd "$dir/kernel/initrd" \
	    -append "console=$console quiet panic=-1" </dev/null \
	    >"$dir/smoke-kernel" 2>&1
	say "smoke (Linux $(cat "$dir/kernel/release"), emulated)" \
	    "$(grep -a ' passed, ' "$dir/smoke-kernel" | tr -d "\\r")"
	grep -a -q ' passed, 0 failed,' "$dir/smoke-kernel" && return
	tail -n 40 "$dir/smoke-kernel" >&2
	return 1
}

# --- the suites ----------------------------------------------------------

# What of libcheck, libbsd and glibc the suites need, for this row.
helpers() {
	local f
	rm -f "$dir/libs.a"
	for f in check bsd "${row/#i686/bsd}"; do
		# shellcheck disable=SC2086 # a list of flags
		compile $more -isystem "$libs/include" -c -o "$dir/$f.o" \
		    "$libs/$f.c" && ar rcs "$dir/libs.a" "$dir/$f.o" || return 1
	done
}

run_suites() {
	local list name runner
	dir=$BUILD/platforms/$row cflags='-O2'
	[ "$row" != musl ] || setup_musl
	runner=test/run.sh
	native || [ -z "${GUEST-}" ] || runner="test/guest/run.sh $GUEST"
	native || [ -n "${GUEST-}" ] || {
		say "SKIP suites: this kernel runs no such programs, GUEST=6.1" \
		    "has one that does"
		return 0
	}
	if ! helpers || ! build tests; then
		say "suites do not build"
		grep -E 'error|undefined|multiple' "$dir/build.log" | head >&2
		return 1
	fi
	list=$(for name in $SUITES; do
		find "$dir/test" -name "$name" -type f -perm -u+x
	done)
	# shellcheck disable=SC2086 # words
	$runner $list >"$dir/suites" 2>&1
	local status=$?
	say "suites $(tail -n 1 "$dir/suites")"
	[ $status -eq 0 ] || grep -a -E ':[FE]:|^failed' "$dir/suites" >&2
	return $status
}

# --- a row ---------------------------------------------------------------

do_row() {
	local flags status=0
	setup "$1"
	if ! command -v "$cc" >/dev/null; then
		echo "$row: SKIP: apt-get install $packages"
		return 77
	fi
	for flags in "${builds[@]}"; do
		library "$flags" || status=1
	done
	[ $status -ne 0 ] || [ ${#machine[@]} -eq 0 ] || [ -z "$BOOT" ] ||
	    boot || status=1
	[ $status -ne 0 ] || [ $suites = no ] || [ -z "$SUITES" ] ||
	    run_suites || status=1
	echo "$row: $line"
	return $status
}

[ $# -gt 0 ] || set -- musl i686 arm64 armhf riscv64 ppc64el s390x
failed='' ran=0
set -f			# names in SUITES are patterns
for name; do
	do_row "$name"
	case $? in
	0)	ran=1 ;;
	77)	;;
	*)	ran=1 failed+=" $name" ;;
	esac
done
[ -z "$failed" ] || {
	echo "failed:$failed"
	exit 1
}
[ $ran -eq 1 ] || exit 77
