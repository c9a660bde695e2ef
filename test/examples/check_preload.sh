#!/bin/bash
# The preloaded library cures servers that lose early replies (preloaded.c,
# python3's), and leaves alone what may not be taken over.
build=${BUILD:-build}
cc=${CC:-cc}
here=$(dirname "$0")
! grep -qs GRACECLOSE_PORTABLE "$build/flags" || {
	echo 'SKIP check_preload: plain POSIX is not enough for it'
	exit 77
}
preload=$(realpath -e "$build/examples/preload/libgraceclose_preload.so") ||
    exit 1
dir=$(mktemp -d) || exit 1
server=''
trap 'kill $server 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
status=0
bad() { echo "check_preload: $*"; status=1; }
ulimit -Sn 1024			# by_numbers tries each

"$cc" -std=c11 -D_GNU_SOURCE -O2 -o "$dir/preloaded" "$here/preloaded.c" \
    -pthread || exit 1

start() {	# start LIBRARY COMMAND...: in $server and $port
	local library=$1 n
	shift
	: >"$dir/log"
	rm -f "$dir/stats"
	LD_PRELOAD=$library GRACECLOSE_PRELOAD_STATS=$dir/stats "$@" \
	    >"$dir/log" 2>&1 </dev/null &
	server=$!
	for ((n = 0; n < 200 * ${CHECK_PATIENCE:-1}; n++)); do
		port=$(sed -n 's/^\(.* port \)\{0,1\}\([0-9][0-9]*\).*/\2/p;q' \
		    "$dir/log")
		[ -z "$port" ] || return 0
		sleep 0.05
	done
	bad "$* does not start"
}

ended() {	# ended WHAT: the server has ended well
	wait "$server" || bad "$1: exit status $?: $(cat "$dir/log")"
	server=''
}

whole() {	# whole N: so many of N replies arrived, of the simple client too
	"$build/tools/replycheck" --json -n "$1" --reads after \
	    "http://127.0.0.1:$port/" >"$dir/answer" 2>&1
	sed -n '1s/.*"simple_client": \([0-9]*\).*/\1/p' "$dir/answer"
}

# The exit waits 2 s at most, in which a client on a busy machine may still send.
cut_off() { grep -q ', pending [1-9]' "$dir/stats" 2>/dev/null; }

says() {	# says WHAT PATTERN...: the line of the statistics
	local what=$1 pattern
	shift
	for pattern; do
		grep -q "$pattern" "$dir/stats" 2>/dev/null && continue
		bad "$what: no \"$pattern\" in: $(cat "$dir/stats" 2>&1)"
	done
}

for mode in plainly threaded forked by_numbers polled; do
	start '' "$dir/preloaded" $mode 9
	n=$(whole 9)
	[ "$n" = 0 ] || bad "$mode, as it is: $n of 9 replies arrive, not 0"
	ended "$mode"
	for _ in 1 2 3; do
		start "$preload" "$dir/preloaded" $mode 9
		n=$(whole 9)
		ended "$mode, preloaded"
		cut_off || break
	done
	[ "$n" = 9 ] || bad "$mode, preloaded: $n of 9 replies arrive"
	taken=$(sed -n 's/.*, taken over \([0-9]*\), delivered \1, lost 0,.*/\1/p' \
	    "$dir/stats" | awk '{ n += $1 } END { print n }')
	[ "$taken" = 9 ] || bad "$mode: of 9 closes: $(cat "$dir/stats")"
done

# What another program still writes comes behind the reply.
for mode in spawned vforked; do
	start "$preload" "$dir/preloaded" $mode 1
	exec 3<>"/dev/tcp/127.0.0.1/$port"
	printf x >&3
	[ "$(tail -c 5 <&3)" = late ] || bad "$mode: the other program's is lost"
	exec 3<&-
	ended $mode
	says $mode 'taken over 0, .*, uncertain 1'
done

for rule in lingering:SO_LINGER 'silent:nothing sent'; do
	start "$preload" "$dir/preloaded" "${rule%:*}" 3
	n=$(whole 3)
	[ "$n" = 0 ] || bad "$rule: $n replies of 3 that were to be cut"
	ended "$rule"
	says "$rule" "closes 3, taken over 0, .*, plain 3, ${rule#*:} 3$"
done

# The number that fclose(3) freed is that of a client's socket: no such close.
start "$preload" "$dir/preloaded" stale 1
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf xy >&3
head -c 1 <&3 >/dev/null
ended stale
exec 3<&-
says stale 'closes 1, taken over 0, .*plain 1, nothing sent 1$'

if command -v python3 >/dev/null; then
	for _ in 1 2 3; do
		start "$preload" python3 -c 'if True:
		    from http.server import HTTPServer, BaseHTTPRequestHandler
		    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
		    print(server.server_port, flush=True)
		    for i in range(9):
		        server.handle_request()'
		n=$(whole 9)
		ended python3
		cut_off || break
	done
	[ "$n" = 9 ] || bad "http.server of python3: $n of 9 replies arrive"
	says python3 'closes 9, taken over 9, delivered 9'
else
	echo 'SKIP check_preload, http.server: python3 is not installed'
fi
exit $status
