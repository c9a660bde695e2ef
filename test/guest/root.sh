#!/bin/sh
# root.sh DIR SUITE... - DIR/initrd, the guest's root: busybox, the modules of
# DIR, this tree's test/, and the suites with their libraries.
set -eu
here=$(dirname "$0")
: "${BUILD:=build}" "${JOBS:=4}" "${PATIENCE:=8}"
dir=$1
shift
PATH=$PATH:/usr/sbin:/sbin
release=$(cat "$dir/release")
root=$(mktemp -d)
chmod 755 "$root"		# some tests run as another user
trap 'rm -rf "$root"' EXIT
trap 'exit 1' HUP INT TERM

pack() {	# pack FROM TO: a part of the root; the kernel takes several
	(cd "$1" && find . | cpio --quiet -o -H newc -R 0:0) >"$2"
}

# The network, the ciphers and their helpers.  busybox modprobe(8) is what the
# kernel itself calls for more.
base() {
	m=$1/lib/modules/$release
	mkdir -p "$m" "$1/bin" "$1/sbin" "$1/dev" "$1/etc"
	(cd "$dir/modules" && find kernel -name '*.ko*' \( \
	    -path 'kernel/net/*' -o -path 'kernel/crypto/*' \
	    -o -path 'kernel/lib/*' -o -path 'kernel/arch/*/crypto/*' \
	    -o -name 'tun.ko*' -o -name 'veth.ko*' -o -name 'dummy.ko*' \) |
	    cpio --quiet -pdm "$1/lib/modules/$release" &&
	    cp modules.order modules.builtin modules.builtin.modinfo "$m/")
	find "$m" -name '*.ko.xz' -exec xz -d {} +
	depmod -b "$1" "$release"
	cp "$(command -v busybox)" "$1/bin/"
	ln -s busybox "$1/bin/sh"
	ln -s ../bin/busybox "$1/sbin/modprobe"
	echo root:x:0:0:root:/root:/bin/sh >"$1/etc/passwd"
	echo root:x:0: >"$1/etc/group"
}
if [ ! -e "$dir/base" ]; then
	base "$(realpath "$root")"
	pack "$root" "$dir/base.new"
	mv "$dir/base.new" "$dir/base"
	rm -rf "$root"
	mkdir -m 755 "$root"
fi

put() {		# put FILE: at its own path, with its libraries
	for f in "$1" $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
		[ ! -e "$root$f" ] || continue
		mkdir -p "$root$(dirname "$f")"
		cp -L "$f" "$root$f"
	done
}

tree=$(pwd)
mkdir -p "$root$tree"
find test -type f ! -name '*.[ch]' | cpio --quiet -pdm "$root$tree"
list=
for suite; do
	case $suite in
	*/*)	program=$suite ;;
	*)	program=$(find "$BUILD/test" -name "$suite" -type f) ;;
	esac
	[ -x "$program" ] || { echo "root.sh: no suite $suite"; exit 1; }
	put "$(realpath "$program")"
	list="$list $(realpath "$program")"
done
# What pthread_cancel(3) loads, what run.sh calls, and what some suites call.
put "$(ldconfig -p | sed -n 's/.*libgcc_s.so.1 .*x86-64.* => //p' | head -n 1)"
for program in nice strace; do
	path=$(command -v "$program") && put "$(realpath "$path")"
done

cp "$here/init" "$root/init"
mkdir -p "$root/etc"
cat >"$root/etc/guest" <<END
export JOBS=$JOBS CHECK_PATIENCE=$PATIENCE CHECK_EMULATED=1
$(for v in CHECK_ONLY CHECK_SEED CK_FORK; do
	eval "[ -z \"\${$v-}\" ] || echo \"export $v='\$$v'\""
done)
cd '$tree'
set --$list
END
pack "$root" "$dir/suites"
cat "$dir/base" "$dir/suites" >"$dir/initrd"
