#!/bin/sh
# make install works.  A C and a C++ program build with the flags of pkg-config,
# shared and static, and run.  make uninstall leaves nothing.
cc=${CC:-cc}
command -v pkg-config >/dev/null || {
	echo "SKIP check_install: no pkg-config (apt-get install pkg-config)"
	exit 77
}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
root=$dir/root
die() { echo "check_install: $*"; exit 1; }

# The flags of this very make, so that what is installed is what was built.
make_() { "${MAKE:-make}" -s BUILD="${BUILD:-build}" "$@"; }

make_ install DESTDIR="$root" PREFIX=/opt/gc LIBDIR=/opt/gc/lib/arch \
    >"$dir/log" 2>&1 || { cat "$dir/log"; die "make install failed"; }
if pkg-config --exists libpcap; then
	"$root/opt/gc/sbin/closewatch" --help >/dev/null ||
	    die "closewatch does not run as installed"
	[ -f "$root/opt/gc/share/man/man8/closewatch.8" ] ||
	    die "closewatch(8) is not installed"
fi
"$root/opt/gc/bin/replycheck" --help >/dev/null ||
    die "replycheck does not run as installed"
[ -f "$root/opt/gc/share/man/man1/replycheck.1" ] ||
    die "replycheck(1) is not installed"
export PKG_CONFIG_LIBDIR="$root/opt/gc/lib/arch/pkgconfig"
[ "$(pkg-config --variable=prefix libgraceclose)" = /opt/gc ] ||
    die "the .pc file has another prefix than make install"
[ "$(pkg-config --variable=libdir libgraceclose)" = /opt/gc/lib/arch ] ||
    die "the .pc file has another libdir than make install"
export PKG_CONFIG_SYSROOT_DIR="$root"

cat >"$dir/use.c" <<'EOF'
#include <errno.h>
#include <graceclose.h>
int
main(void)
{
	return !(graceful_close(-1) == -1 && errno == EBADF);
}
EOF
cp "$dir/use.c" "$dir/use.cc"
flags=$(pkg-config --cflags --libs libgraceclose) || die "pkg-config failed"
lib=$root/opt/gc/lib/arch
# A sanitized library needs its run-time library in the program as well.
case ${CFLAGS-} in *-fsanitize=*) san=$CFLAGS ;; *) san= ;; esac
"$cc" $san -o "$dir/shared" "$dir/use.c" $flags || die "does not link shared"
LD_LIBRARY_PATH=$lib "$dir/shared" || die "the shared program failed"
ldd "$dir/shared" | grep -q libgraceclose.so.1 ||
    die "the program does not ask for libgraceclose.so.1"
"$cc" $san -o "$dir/static" "$dir/use.c" ${flags%-lgraceclose*} \
    -Wl,-Bstatic -lgraceclose -Wl,-Bdynamic || die "does not link statically"
"$dir/static" || die "the static program failed"
if command -v g++ >/dev/null && [ -z "$san" ]; then
	g++ -o "$dir/cxx" "$dir/use.cc" $flags || die "does not link from C++"
	LD_LIBRARY_PATH=$lib "$dir/cxx" || die "the C++ program failed"
fi
# mandoc(1) comes with a man(1) of its own.
for man in man mman; do
	command -v $man >/dev/null || continue
	$man -M "$root/opt/gc/share/man" -w graceclose_step >/dev/null 2>&1 ||
	    die "$man does not find graceclose_step"
done
[ "$(readlink "$root/opt/gc/share/man/man3/graceclose_step.3")" = \
    graceclose_begin.3 ] || die "graceclose_step(3) is no link to its page"
[ -s "$root/opt/gc/share/graceclose/graceclose.supp" ] ||
    die "graceclose.supp is not installed"

make_ uninstall DESTDIR="$root" PREFIX=/opt/gc LIBDIR=/opt/gc/lib/arch \
    >/dev/null || die "make uninstall failed"
left=$(find "$root" ! -type d -o -name graceclose)
[ -z "$left" ] || die "make uninstall left $left"
