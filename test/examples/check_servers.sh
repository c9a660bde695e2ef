#!/bin/sh
# The recipes that are servers serve clients that upload, read late, half-close,
# drip, stay and reset, with 64 descriptors, and stop when they are told to.
# inetd.c starts those that inetd(8) would start.  Those that are functions of a
# server get what they lack from served.c, and are stopped by a signal.
#
# usage: check_servers.sh [RECIPE...]
cc=${CC:-cc}
build=${BUILD:-build}
here=$(dirname "$0")
dir=$(mktemp -d) || exit 1
trap 'kill $(cat "$dir"/*.pid 2>/dev/null) 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
size=200000
tries=$((200 * ${CHECK_PATIENCE:-1}))	# of 50 ms: see run.sh
bad() { echo "check_servers: $name: $*"; status=1; }

start() {	# start PROGRAM [ARGUMENT...]: its pid in $server, its port in $port
	# shellcheck disable=SC3045 # every sh here has ulimit -n
	(ulimit -n 64
	# Discards of two threads are a race for ThreadSanitizer, which takes
	# each of their bytes for a write to address 0: see test/tsan.supp.
	TSAN_OPTIONS="${TSAN_OPTIONS-} ignore_interceptors_accesses=1" \
	    "$@" >"$dir/$name.out" 2>"$dir/$name.err" </dev/null &
	echo $! >"$dir/$name.pid"
	wait $!
	echo $? >"$dir/$name.status") 2>/dev/null &
	n=0
	until port=$(sed -n 's/^listening .* port \([0-9]*\)$/\1/p' \
	    "$dir/$name.out" 2>/dev/null) && [ -n "$port" ]; do
		n=$((n + 1))
		[ "$(cat "$dir/$name.status" 2>/dev/null)" != 77 ] || {
			echo "SKIP check_servers: $name:" \
			    "$(sed 's/^[^:]*: //' "$dir/$name.err")"
			rm "$dir/$name.pid"
			return 1
		}
		[ $n -le $tries ] || { bad 'no port in time'; return 1; }
		sleep 0.05
	done
	server=$(cat "$dir/$name.pid")
}

# It ends by itself, and says that all is well.
stop() {
	[ "$how" = stop ] || {	# else visit has told it
		[ ! -e "$dir/$name.status" ] || bad 'it has ended'
		kill -TERM "$server" 2>/dev/null
	}
	n=0
	until [ -s "$dir/$name.status" ]; do
		n=$((n + 1))
		[ $n -le $((2 * tries)) ] || {
			bad 'it goes on after SIGTERM'
			kill -KILL "$server"
			n=0
		}
		sleep 0.05
	done
	[ "$(cat "$dir/$name.status")" = 0 ] ||
	    bad "exit status $(cat "$dir/$name.status")"
	grep -q ': [1-9][0-9]* of [0-9]* delivered$' "$dir/$name.out" ||
	    bad 'it says that nothing was delivered'
	rm "$dir/$name.pid"
}

uploads() {	# uploads URL
	timeout 120 "$build/tools/replycheck" -n 10 "$1" >"$dir/$name.asked" ||
	    { bad 'an upload lost the reply'; cat "$dir/$name.asked"; }
}

# A client of TLS must know an end from a truncation: a close_notify came.
notified() {	# notified PORT
	command -v openssl >/dev/null || {
		echo "SKIP check_servers: $name's close_notify: openssl is" \
		    'not installed'
		return
	}
	printf 'POST / HTTP/1.1\r\n\r\n' |
	    timeout 60 openssl s_client -quiet -connect "127.0.0.1:$1" \
	    >"$dir/$name.whole" 2>"$dir/$name.tls" ||
	    { bad 'no close_notify came'; cat "$dir/$name.tls"; }
	[ "$(wc -c <"$dir/$name.whole")" = $size ] ||
	    bad 'openssl did not get the whole reply'
}

# The flags of the build, where they are for linking as well.
sanitizer=$(grep -o -e '-fsanitize=[a-z,]*' "$build/flags" | sort -u)
serve() {	# serve RECIPE FUNCTION [OPTION]: visits it
	name=$1 status=0
	# shellcheck disable=SC2086 # no word, or more than one
	"$cc" -std=c11 -D_GNU_SOURCE -O2 -Iinclude $sanitizer -DSERVER="$2" \
	    -DRECIPE="\"$PWD/examples/recipes/$name.c\"" ${3-} \
	    -o "$dir/$name" "$here/served.c" "$build/libgraceclose.a" \
	    -pthread || return 1
	if start "$dir/$name"; then
		"$dir/visit" "$port" $size "$server" || bad 'see above'
		[ ! -e "$dir/$name.status" ] || bad 'it has ended'
		kill "$server" 2>/dev/null
		rm "$dir/$name.pid"	# soon another's number
	fi
	[ $status = 0 ] || cat "$dir/$name.out" "$dir/$name.err"
	return $status
}

visit() {	# visit RECIPE
	case $1 in
	thread_server | fork_server)	serve "$1" run; return ;;
	epoll_loop)			serve "$1" looped -DLOOP; return ;;
	esac
	name=$1 status=0 scheme=http how=''
	case $name in
	tls_*) scheme=https how=raw ;;
	evhttp_*) size=0 ;;	# its own page: as the Content-Length says
	graceful_stop) how=stop ;;
	esac
	set -- "$build/examples/recipes/$name"
	case $name in inetd_*)	# a sanitizer's program starts slowly
		export CHECK_PATIENCE=$((3 * ${CHECK_PATIENCE:-1}))
		set -- "$dir/inetd" "$@" ;;
	esac
	if start "$@"; then
		exec 9>"$dir/turn"	# uploads keep a processor busy
		flock 9
		uploads "$scheme://127.0.0.1:$port/"
		[ "$how" != raw ] || notified "$port"
		flock -u 9
		"$dir/visit" "$port" $size "$server" $how || bad 'see above'
		stop
	fi
	[ $status = 0 ] || cat "$dir/$name.out" "$dir/$name.err"
	return $status
}

if [ $# = 0 ]; then
	set -- thread_server fork_server epoll_loop
	for source in examples/recipes/*.c; do
		grep -q '^ \* Usage: \(inetd \|.* \[port\]\)' "$source" ||
		    continue
		name=$(basename "$source" .c)
		if [ -x "$build/examples/recipes/$name" ]; then
			set -- "$@" "$name"
		else
			echo "SKIP check_servers: $name:" \
			    "$(sed -n 's/^ \* Needs //p' "$source")"
		fi
	done
fi
[ -x "$build/tools/replycheck" ] || {
	echo 'SKIP check_servers: replycheck is not built'
	exit 77
}
for program in visit inetd; do
	"$cc" -std=c11 -D_GNU_SOURCE -O2 -o "$dir/$program" \
	    "$here/$program.c" || exit 1
done
all=''
for recipe; do		# they wait most of the time
	(visit "$recipe") >"$dir/$recipe.log" 2>&1 &
	all="$all $!"
done
failed=0
for pid in $all; do
	wait "$pid" || failed=1
done
cat "$dir"/*.log
echo "check_servers: $# servers"
exit $failed
