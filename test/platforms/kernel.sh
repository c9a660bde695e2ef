#!/bin/sh
# kernel.sh ARCH DIR - Debian's kernel for another processor: DIR/vmlinuz
#
# ARCH is amd64, arm64 or s390x, as Debian names them.  apt(8) uses a configuration and
# lists in DIR; the machine's own stay as they are, and nothing is installed.
# What is there already stays.  Status 77: a SKIP, and the reason is printed.
set -u
arch=$1
mkdir -p "$2" || exit 1
dir=$(realpath "$2")
case $arch in
amd64)	meta=linux-image-cloud-amd64 ;;
arm64)	meta=linux-image-cloud-arm64 ;;
s390x)	meta=linux-image-s390x ;;
*)	echo "kernel.sh: which package has a kernel for $arch?" >&2
	exit 2 ;;
esac

[ ! -e "$dir/vmlinuz" ] || exit 0
command -v apt-get >/dev/null || { echo "not Debian"; exit 77; }
mkdir -p "$dir/apt/lists/partial" "$dir/apt/archives/partial" "$dir/package"
: >"$dir/apt/status"
cat >"$dir/apt/conf" <<END
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Dir::State "$dir/apt";
Dir::State::status "$dir/apt/status";
Dir::Cache "$dir/apt";
END
export APT_CONFIG="$dir/apt/conf"

cd "$dir/package" || exit 1
{
	apt-get -q update
	package=$(apt-cache depends --important "$meta" |
	    sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p')
	apt-get -q download "${package:-$meta}" &&
	    dpkg --fsys-tarfile linux-image-*.deb | tar -x ./boot
} >"$dir/download.log" 2>&1
for image in boot/vmlinuz-*; do
	[ -e "$image" ] || { echo "no download of $meta"; exit 77; }
	mv "$image" "$dir/vmlinuz"
	echo "Linux ${image#boot/vmlinuz-}" >"$dir/release"
done
rm -rf "$dir/apt" "$dir/package"
