#!/bin/bash
# kernel.sh KERNEL DIR [ARCH] - a kernel of Debian, unpacked: DIR/vmlinuz,
# DIR/modules and DIR/release.  Nothing is installed.  What is there stays.
#
# ARCH is amd64, arm64 or s390x, as Debian names them; amd64 by default.  The
# machine's own apt is asked first.  Another suite of Debian, or another ARCH,
# has an apt configuration of its own in DIR/apt, which leaves that of the
# machine alone.  Status 77, and the reason in DIR/skipped, where there is no
# such kernel.
set -u
mkdir -p "$2" || exit 1
kernel=$1 dir=$(realpath "$2") arch=${3-amd64}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

skip() {
	echo "SKIP guest $kernel: $*" | tee "$dir/skipped"
	exit 77
}

# The meta package names the package of today.
case $arch in
amd64 | arm64)	meta=linux-image-cloud-$arch ;;
s390x)	meta=linux-image-$arch ;;
*)	echo "kernel.sh: which package has a kernel for $arch?" >&2
	exit 2 ;;
esac

# Which suite of Debian has it, and how its release begins.
case $kernel in
5.10)	suite=bullseye begins=5.10. ;;
6.1)	suite=bookworm begins=6.1. ;;
6.12)	suite=trixie begins=6.12. ;;
sid)	suite=sid begins= ;;		# the newest one that is released
experimental)
	suite=experimental begins= ;;	# the newest one
*)	echo "kernel.sh: which suite has Linux $kernel?  Add a row." >&2
	exit 2 ;;
esac

[ ! -e "$dir/release" ] || exit 0
machine=$(dpkg --print-architecture 2>/dev/null) || skip "not Debian"

# find_package: $package, what the meta package is today, by apt as it is.
apt=()
find_package() {
	package=$(apt-cache "${apt[@]}" depends --important "$meta" \
	    2>/dev/null |
	    sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | tail -n 1)
	[[ -n $package && $package == linux-image-"$begins"* ]]
}

# own_apt: from here on apt knows this suite alone, from where the machine has
# its Debian.
own_apt() {
	local own=$dir/apt uri
	# shellcheck disable=SC2016 # apt expands it
	uri=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' \
	    'Label: Debian' 'Component: main' 2>/dev/null | head -n 1)
	[ -n "$uri" ] || skip "apt has no Debian: apt-get update"
	[ -e $keyring ] || skip "no $keyring: apt-get install" \
	    "debian-archive-keyring"
	rm -rf "$own"
	mkdir -p "$own/lists/partial" "$own/cache/archives/partial"
	: >"$own/status"
	echo "deb [signed-by=$keyring] $uri $suite main" >"$own/sources.list"
	cat >"$own/apt.conf" <<-END
	Dir::Etc::sourcelist "$own/sources.list";
	Dir::Etc::sourceparts "/dev/null";
	Dir::Etc::preferences "/dev/null";
	Dir::Etc::preferencesparts "/dev/null";
	Dir::State "$own";
	Dir::State::lists "$own/lists";
	Dir::State::status "$own/status";
	Dir::Cache "$own/cache";
	Dir::Log "$own";
	Acquire::Languages "none";
	APT::Architecture "$arch";
	#clear APT::Architectures;
	APT::Architectures { "$arch"; };
	#clear APT::Update::Pre-Invoke;
	#clear APT::Update::Post-Invoke;
	#clear APT::Update::Post-Invoke-Success;
	END
	apt=(-c "$own/apt.conf" -o "APT::Sandbox::User=$(id -un)")
	echo "guest: apt-get update of $suite for $arch alone"
	apt-get -q "${apt[@]}" update >"$dir/download.log" 2>&1 || {
		cat "$dir/download.log"
		skip "no download of the list of $suite"
	}
}

if [ -z "$begins" ] || [ "$machine" != "$arch" ] || ! find_package; then
	own_apt
	find_package || skip "$suite has ${package:-no $meta} today"
fi

# Since 6.19 the kernel, its modules and their lists are packages of their own.
packages=$(apt-cache "${apt[@]}" depends --important "$package" |
    sed -n -E 's/.*Depends: (linux-(base|binary|modules)-[0-9][^ ]*)$/\1/p')
: "${packages:=$package}"

rm -rf "$dir/package"
mkdir -p "$dir/package"
# shellcheck disable=SC2086 # the packages are words
(cd "$dir/package" &&
    echo "guest: apt-get download" $packages &&
    apt-get -q "${apt[@]}" -o "APT::Sandbox::User=$(id -un)" \
	download $packages >"$dir/download.log" 2>&1) || {
	cat "$dir/download.log"
	skip "no download of $package"
}

release=${package#linux-image-}
unpack() {
	local deb f
	cd "$dir/package" || return
	for deb in *.deb; do
		dpkg -x "$deb" . || return
	done
	for f in {.,usr}/lib/modules/"$release"; do
		[ ! -d "$f/kernel" ] || mv "$f" "$dir/modules" || return
	done
	for f in boot/vmlinuz-"$release" "$dir/modules/vmlinuz"; do
		[ ! -e "$f" ] || mv "$f" "$dir/vmlinuz" || return
	done
	[ -d "$dir/modules/kernel" ] && [ -e "$dir/vmlinuz" ]
}
rm -rf "$dir/modules" "$dir/vmlinuz"
if ! (unpack); then
	echo "kernel.sh: no kernel or no modules in $packages:" \
	    "see $dir/package" >&2
	exit 1
fi
rm -rf "$dir/package" "$dir/apt"
echo "$release" >"$dir/release"
