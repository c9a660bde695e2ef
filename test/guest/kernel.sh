#!/bin/sh
# kernel.sh KERNEL DIR - a kernel of Debian, unpacked: DIR/vmlinuz, DIR/modules
# and DIR/release.  Nothing is installed.  What is there already stays.
set -u
kernel=$1 dir=$2

skip() {
	echo "SKIP guest $kernel: $*" | tee "$dir/skipped"
	exit 77
}

# Which package has it.  The first one names the one of today.
case $kernel in
6.1)	meta=linux-image-cloud-amd64 ;;
*)	echo "kernel.sh: which package has Linux $kernel?" >&2
	exit 2 ;;
esac

[ ! -e "$dir/release" ] || exit 0
[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] ||
    skip "not Debian on amd64"
package=$(apt-cache depends --important "$meta" 2>/dev/null |
    sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p')
case $package in
linux-image-"$kernel".*)	;;
'')	skip "no package $meta: apt-get update" ;;
*)	skip "$meta is $package here" ;;
esac

rm -rf "$dir/package"
mkdir -p "$dir/package"
echo "guest: apt-get download $package"
(cd "$dir/package" &&
    apt-get -q -o APT::Sandbox::User="$(id -un)" download "$package" &&
    dpkg -x "$package"_*.deb .) >"$dir/download.log" 2>&1 || {
	cat "$dir/download.log"
	skip "no download of $package"
}

set -- "$dir"/package/lib/modules/*
release=${1##*/}
cp "$dir/package/boot/vmlinuz-$release" "$dir/vmlinuz" &&
    rm -rf "$dir/modules" &&
    mv "$dir/package/lib/modules/$release" "$dir/modules" &&
    rm -rf "$dir/package" &&
    echo "$release" >"$dir/release"
