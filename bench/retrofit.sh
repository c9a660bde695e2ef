#!/bin/bash
# retrofit.sh - servers of others, as they are and with a few lines changed
#
# usage: retrofit.sh [SERVER...]	all that it knows by default
#
# Takes the source of each server from Debian, builds it, and has replycheck ask
# it; changes the lines that close a connection, builds it again, and asks
# again.  It needs what the server needs to be built, and downloads with an apt
# configuration of its own.  Nothing is installed, and all is removed.
set -u
all=(tinyproxy)
# shellcheck source=bench/asking.sh
. "$(dirname "$0")/asking.sh"
choose "$@"
top=$(realpath "$(dirname "$0")/..")
library=$(realpath -e "${BUILD:-build}/libgraceclose.a") || exit 1
die() { echo "retrofit: $*" >&2; exit 1; }

# download NAME: its source, unpacked, in $dir/source/NAME; $version
download() {
	local config=$dir/apt suites=(/etc/apt/sources.list.d/*.sources)
	[ -f "${suites[0]}" ] || die 'no file *.sources in /etc/apt' \
	    'says where Debian is'
	mkdir -p "$config/parts" "$config/lists/partial" \
	    "$config/archives/partial" "$dir/source/$1"
	sed 's/^Types: .*/Types: deb-src/' "${suites[@]}" \
	    >"$config/parts/source.sources"
	cat >"$config/apt.conf" <<-EOF
	Dir::Etc::SourceList "/dev/null";
	Dir::Etc::SourceParts "$config/parts";
	Dir::State::Lists "$config/lists";
	Dir::Cache "$config";
	APT::Sandbox::User "$(id -un)";
	EOF
	(cd "$dir/source" && export APT_CONFIG=$config/apt.conf &&
	    apt-get -q update && apt-get -q source --download-only "$1" &&
	    tar -C "$1" --strip-components=1 -xf "$1"_*.orig.tar.?z) \
	    >"$dir/log" 2>&1 || { tail -n 5 "$dir/log" >&2; return 1; }
	version=$(sed -n 's/^Version: //p' "$dir/source/$1"_*.dsc)
}

# --- The servers: build_X what is in the current folder; change_X its close;
#     run_X sets $server. ---

build_tinyproxy() {
	[ -e Makefile ] || ./configure --disable-manpage_support || return 1
	make -C src CPPFLAGS="-I$top/include" LIBS="$library -lpthread"
}

# A thread serves each connection, and may wait in the close.
change_tinyproxy() {
	sed -i -e '/^#include "conns.h"/a #include <graceclose.h>' \
	    -e 's/(close (connptr->client_fd)/(graceful_close (connptr->client_fd)/' \
	    src/conns.c
}

run_tinyproxy() {
	configure_tinyproxy
	server=("$dir/source/tinyproxy/src/tinyproxy" -d -c "$dir/conf")
}

# --- The table. ---

row() { printf '%-10s %-16.16s %-8s %6s %6s %6s | %6s %6s\n' "$@"; }

# try NAME WHAT LINES: builds it, asks it, shows the row
try() {
	(cd "$dir/source/$1" && "build_$1") >"$dir/log" 2>&1 || {
		tail -n 5 "$dir/log" >&2
		die "$1 does not build: apt-get build-dep $1"
	}
	port=$((port + 1))
	"run_$1"
	ask "${server[@]}" || die "$1 does not start"
	row "$1" "$version" "$2" "$3" "${whole[@]}" "${simple[@]}"
}

[ -n "${OWN_NETWORK-}" ] || {
	can_own_network
	prepare
	for name in "${names[@]}"; do
		download "$name" || die "no source of $name"
		echo "$version" >"$dir/source/$name.version"
	done
	export SOURCES=$dir
	# Without the trap: the script goes on in a network of its own.
	trap - EXIT
	own_network "$0" "$@"
}
dir=$SOURCES
clean_up
heading
row server version source lines after while simple client
for name in "${names[@]}"; do
	version=$(cat "$dir/source/$name.version")
	try "$name" 'as it is' 0
	cp -r "$dir/source/$name" "$dir/before"
	(cd "$dir/source/$name" && "change_$name")
	lines=$(diff -r "$dir/before" "$dir/source/$name" | grep -c '^>')
	[ "$lines" -gt 0 ] || die "$name: nothing was changed"
	rm -rf "$dir/before"
	try "$name" changed "$lines"
done
