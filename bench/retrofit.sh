#!/bin/bash
# retrofit.sh - servers of others, as they are and with a few lines changed
#
# usage: retrofit.sh [SERVER...]	all that it knows by default
#
# Takes the source of each server from Debian, builds it, and has replycheck ask
# it; changes the lines that close a connection, builds it again, and asks
# again.  Lines are those that the change adds and removes.  It needs what the
# server needs to be built, and downloads with an apt configuration of its own.
# A server without a source, or that does not build, is a line of the table.
# Nothing is installed, and all is removed.
set -u
all=(tinyproxy busybox mini-httpd civetweb h2o)
# shellcheck source=bench/asking.sh
. "$(dirname "$0")/asking.sh"
choose "$@"
top=$(realpath "$(dirname "$0")/..")
library=$(realpath -e "${BUILD:-build}/libgraceclose.a") || exit 1
die() { echo "retrofit: $*" >&2; exit 1; }

# configure_apt: $APT_CONFIG, and the lists of Debian's sources
configure_apt() {
	local config=$dir/apt suites=(/etc/apt/sources.list.d/*.sources)
	[ -f "${suites[0]}" ] || die 'no file *.sources in /etc/apt' \
	    'says where Debian is'
	mkdir -p "$config/parts" "$config/lists/partial" \
	    "$config/archives/partial" "$dir/source"
	sed 's/^Types: .*/Types: deb-src/' "${suites[@]}" \
	    >"$config/parts/source.sources"
	cat >"$config/apt.conf" <<-EOF
	Dir::Etc::SourceList "/dev/null";
	Dir::Etc::SourceParts "$config/parts";
	Dir::State::Lists "$config/lists";
	Dir::Cache "$config";
	APT::Sandbox::User "$(id -un)";
	EOF
	export APT_CONFIG=$config/apt.conf
	apt-get -q update >"$dir/log" 2>&1 || tail -n 3 "$dir/log" >&2
}

# download NAME: its source with Debian's patches in $dir/source/NAME, and its
# version in NAME.version; neither is there where that fails
download() {
	(cd "$dir/source" && apt-get -q source "$1" && mv "$1"-*/ "$1" &&
	    sed -n 's/^Version: //p' "$1"_*.dsc >"$1.version") \
	    >"$dir/log" 2>&1 || tail -n 3 "$dir/log" >&2
}

# --- The servers: build_X what is in the current folder; change_X its close;
#     run_X sets $server. ---

# What a server that strangers can reach gives to graceclose().
quiet='static const struct graceclose_opts quiet = {
	    .until = GRACECLOSE_QUIET, .timeout_ms = 5000, .idle_ms = 1000};'
include='#include <graceclose.h>'

# text LINES: as sed takes it after a, c and i
text() { sed '$!s/$/\\/' <<<"$1"; }

build_tinyproxy() {
	[ -e Makefile ] || ./configure --disable-manpage_support || return 1
	make -C src CPPFLAGS="-I$top/include" LIBS="$library -lpthread"
}

# A thread serves each connection, and may wait in the close.
change_tinyproxy() {
	sed -i -e "/^#include \"conns.h\"/a $include" \
	    -e 's/(close (connptr->client_fd)/(graceful_close (connptr->client_fd)/' \
	    src/conns.c
}

run_tinyproxy() {
	configure_tinyproxy
	server=("$dir/source/tinyproxy/src/tinyproxy" "${arguments[@]}")
}

# Of all that busybox can do, only httpd.
build_busybox() {
	[ -e .config ] || {
		make -s allnoconfig && sed -i \
		    -e 's/^# \(CONFIG_HTTPD\) is not set/\1=y/' \
		    -e 's/^# \(CONFIG_FEATURE_HTTPD_ERROR_PAGES\) .*/\1=y/' \
		    -e "s|^\(CONFIG_EXTRA_CFLAGS\)=.*|\1=\"-I$top/include\"|" \
		    -e "s|^\(CONFIG_EXTRA_LDFLAGS\)=.*|\1=\"-L${library%/*}\"|" \
		    -e 's/^\(CONFIG_EXTRA_LDLIBS\)=.*/\1="-l:libgraceclose.a pthread"/' \
		    .config || return 1
		yes '' | make -s oldconfig
	}
	make -j2
}

# A process serves each connection, and may wait before it exits.
change_busybox() {
	sed -i -e "/^#include \"libbb.h\"/a $include" \
	    -e '/^static void log_and_exit(void)$/,/^}/{
		s/shutdown(1, SHUT_WR)/graceful_close(1)/
	    }' networking/httpd.c
}

run_busybox() {
	configure_busybox
	server=("$dir/source/busybox/busybox" "${arguments[@]}")
}

build_mini-httpd() {
	make mini_httpd CC="${CC:-cc} -DHAVE_INT64T -I$top/include" \
	    LDLIBS="-lcrypt $library -lpthread"
}

# A process serves each connection.  Its own loop loses nothing, but is without
# a limit in all: a client that sends a byte now and then holds the process.
change_mini-httpd() {
	sed -i -e "/^#include \"port.h\"/i $include" \
	    -e "/^finish_request.*)\$/,/^#endif.*LINGER_READ/{
		/LINGER_SOCKOPT/,/^#endif.*LINGER_READ/c\\
$(text "    $quiet

    (void) graceclose( conn_fd, &quiet, (struct graceclose_report*) 0 );")
	    }" mini_httpd.c
}

run_mini-httpd() {
	configure_mini-httpd
	server=("$dir/source/mini-httpd/mini_httpd" "${arguments[@]}")
}

build_civetweb() {
	"${CC:-cc}" -O2 -w -DNO_SSL -Iinclude "-I$top/include" src/civetweb.c \
	    src/main.c "$library" -lpthread -ldl -o civetweb
}

# A thread of a pool serves each connection, and may wait a short time.
change_civetweb() {
	sed -i -e "/^#include \"civetweb.h\"/a $include" \
	    -e "/^close_socket_gracefully/,/^}/{
		/^{/,/closesocket/c\\
$(text "{
	$quiet

	graceclose(conn->client.sock, &quiet, NULL);")
	    }" src/civetweb.c
}

run_civetweb() {
	server=("$dir/source/civetweb/civetweb" -listening_ports
	    "127.0.0.1:$port" -document_root "$dir/www"
	    -error_pages "$dir/www/errors/")
}

build_h2o() {
	local libraries="$library -lpthread"
	[ -e Makefile ] || cmake . -DWITH_MRUBY=off \
	    -DCMAKE_C_FLAGS="-w -I$top/include" \
	    -DCMAKE_C_STANDARD_LIBRARIES="$libraries" \
	    -DCMAKE_CXX_STANDARD_LIBRARIES="$libraries" || return 1
	make -j2 h2o
}

# Several event loops: one reaper closes for them all.
change_h2o() {
	local reaper="$include

static struct graceclose_reaper *reaper;
static pthread_once_t reaper_once = PTHREAD_ONCE_INIT;

static void make_reaper(void)
{
    static const struct graceclose_reaper_opts oldest = {
        .when_full = GRACECLOSE_OLDEST};

    reaper = graceclose_reaper_new(&oldest);
}" close="        $quiet

        pthread_once(&reaper_once, make_reaper);
        if (graceclose_reaper_close(reaper, sock->fd, &quiet, NULL) == -1)
            close(sock->fd);"
	sed -i -e "/^#include \"h2o\/linklist.h\"/a\\
$(text "$reaper")" -e "/^void do_dispose_socket/,/^}/{
		/ close(sock->fd);/c\\
$(text "$close")
	    }" lib/common/socket/evloop.c.h
}

run_h2o() {
	configure_h2o
	server=("$dir/source/h2o/h2o" "${arguments[@]}")
}

# --- The table. ---

row() { printf '%-10s %-20.20s %-14s %8s %6s %6s | %6s %6s\n' "$@"; }

none() { row "$1" "$version" "$2" "${3--}" - - - -; }

# try NAME WHAT LINES: builds it, asks it, shows the row; 1: it could not
try() {
	(cd "$dir/source/$1" && "build_$1") >"$dir/log" 2>&1 </dev/null || {
		tail -n 5 "$dir/log" >&2
		echo "retrofit: for what it lacks: apt-get build-dep $1" >&2
		none "$1" 'does not build' "$3"
		return 1
	}
	port=$((port + 1))
	"run_$1"
	ask "${server[@]}" || {
		none "$1" 'does not start' "$3"
		return 1
	}
	row "$1" "$version" "$2" "$3" "${whole[@]}" "${simple[@]}"
}

# changed NAME: in $lines, what change_NAME adds and removes
changed() {
	cp -r "$dir/source/$1" "$dir/before"
	(cd "$dir/source/$1" && "change_$1") 2>"$dir/log"
	diff -r "$dir/before" "$dir/source/$1" >"$dir/diff"
	rm -rf "$dir/before"
	lines="+$(grep -c '^>' "$dir/diff") -$(grep -c '^<' "$dir/diff")"
	[ -s "$dir/diff" ]
}

retrofit() {	# retrofit NAME: its two rows
	version=-
	[ -s "$dir/source/$1.version" ] || { none "$1" 'no source'; return; }
	version=$(cat "$dir/source/$1.version")
	try "$1" 'as it is' - || return
	changed "$1" || { none "$1" 'not changed'; return; }
	try "$1" changed "$lines"
}

[ -n "${OWN_NETWORK-}" ] || {
	can_own_network
	prepare
	configure_apt
	for name in "${names[@]}"; do
		download "$name"
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
	retrofit "$name"
	rm -rf "$dir/source/$name"
done
