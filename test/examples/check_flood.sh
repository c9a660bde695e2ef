#!/bin/sh
# Nobody stops a server of the pages, the recipes and the examples.  2,000
# hostile clients (flood.c) visit each, at an RLIMIT_NOFILE of 1024.  Meanwhile
# an honest client has its answer within a second, each time.  An accept(2) that
# fails (no_accept.c) ends none of them, and makes none of them spin.
#
# usage: check_flood.sh [SERVER...]; FLOOD_SECONDS is how long each is flooded,
# and 0 skips it.
cc=${CC:-cc}
build=${BUILD:-build}
here=$(dirname "$0")
dir=$(mktemp -d) || exit 1
server=''
trap 'kill $server 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
status=0
bad() { echo "check_flood: $*"; status=1; }
seconds=${FLOOD_SECONDS:-4}
[ "$seconds" != 0 ] || {
	echo 'SKIP check_flood: FLOOD_SECONDS is 0'
	exit 77
}
[ $# -gt 0 ] || set -- worker_page loop_page fork_page thread_recipe \
    epoll_recipe fork_recipe threads_server epoll_server

compile() {	# compile PROGRAM OPTION-OR-SOURCE...
	program=$dir/$1
	shift
	"$cc" -std=c11 -D_GNU_SOURCE -O2 -Iinclude -o "$program" "$@" || exit 1
}

served() {	# served PROGRAM OPTION-OR-SOURCE...: with what it lacks
	compile "$@" "$here/served.c" "$build/libgraceclose.a" -pthread
}

recipe() {	# recipe PROGRAM FILE FUNCTION [OPTION]
	served "$1" "-DRECIPE=\"$PWD/examples/recipes/$2\"" -DSERVER="$3" \
	    ${4+"$4"}
}

# Other suites do not take the server's processors, where that is allowed.
start() {	# start [NAME=VALUE]: $command, in $server and $port
	: >"$dir/log"
	# shellcheck disable=SC2086,SC3045 # split; every sh here has ulimit -n
	(ulimit -n 1024 && exec nice -n -10 env ${1-} $command) \
	    >"$dir/log" 2>"$dir/err" </dev/null &
	server=$!
	n=0
	until port=$(sed -n 's/^listening .* port \([0-9]*\)$/\1/p' \
	    "$dir/log") && [ -n "$port" ]; do
		n=$((n + 1))
		[ $n -le 200 ] || { bad "$name: no port within 10 s"; return 1; }
		sleep 0.05
	done
}

stop() {
	kill -0 "$server" 2>/dev/null || bad "$name has ended"
	kill "$server" 2>/dev/null
	wait "$server" 2>/dev/null
	server=''
}

# Where each client costs a process they come 4 s longer, at a quarter of the
# rate at which this machine starts processes, and 60 a second at least: more
# than such a server allows at a time.  Where an answer has 1 MiB the half of
# 1,000 a second that asks keeps a processor busy.
flood() {
	start || return
	rate=100000 time=$seconds
	case $name in fork_*)
		rate=$(($("$dir/flood" forks) / 4)) time=$((seconds + 4))
		[ $rate -ge 60 ] || rate=60 ;;
	threads_server | epoll_server)
		rate=1000 ;;
	esac
	echo "$name, at most $rate new clients a second:"
	"$dir/flood" "$port" "$time" "$size" "$rate" "$server"
	case $? in
	0) ;;
	77) exit 77 ;;
	*) bad "$name: an honest client was not served" ;;
	esac
	stop
}

# At most MOST calls in the half second: the server has waited.
no_accept() {	# no_accept MOST
	start "LD_PRELOAD=$dir/no_accept" || return
	echo "$name, accept fails:"
	"$dir/flood" "$port" 1 "$size" 0 || bad "$name does not survive errors"
	stop
	n=$(sed -n 's/^accept failed \([0-9]*\) times$/\1/p' "$dir/err")
	[ "${n:-0}" -ge 7 ] || bad "$name: accept failed only ${n:-0} times"
	[ "${n:-0}" -le "$1" ] || bad "$name spins: $n calls of accept"
}

compile flood "$here/flood.c"
compile no_accept -shared -fPIC "$here/no_accept.c" -ldl
"$here"/../install/page_examples.sh "$dir/pages" man/graceclose_reaper.3 \
    man/graceclose_begin.3 man/graceclose.7 || exit 1
for name; do
	size=200000 most=500
	case $name in
	worker_page)
		size=10000 most=20000	# 256 threads, each for itself
		served "$name" -DSERVER=run "$dir/pages/graceclose_reaper.3-1.c" ;;
	loop_page)
		size=10000
		compile "$name" "$here/served_loop.c" \
		    "-DPAGE=\"$dir/pages/graceclose_begin.3-2.c\"" \
		    "$build/libgraceclose.a" -pthread ;;
	fork_page)
		size=10000
		served "$name" -DSERVER=accept_loop \
		    "$dir/pages/graceclose.7-1.c" ;;
	thread_recipe)
		most=20000
		recipe "$name" thread_server.c run ;;
	epoll_recipe)	recipe "$name" epoll_loop.c looped -DLOOP ;;
	fork_recipe)	recipe "$name" fork_server.c run ;;
	*)
		size=1048576
		program=$build/examples/$name ;;
	esac
	command=$program
	case $program in */examples/*) command="$program --port 0" ;; esac
	flood
	no_accept $most
done
exit $status
