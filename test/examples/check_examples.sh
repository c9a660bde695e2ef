#!/bin/sh
# Each example shows what it says it shows, and is polite: --help, bad
# arguments.  The examples check their own outcome and exit with 1 otherwise.
# The servers are then visited by clients from outside, and stopped by a signal
# while clients are connected.
build=${BUILD:-build}
dir=$(mktemp -d) || exit 1
server='' holder=''
trap 'kill $server $holder 2>/dev/null; rm -rf "$dir"' EXIT
status=0
bad() { echo "check_examples: $*"; status=1; }

# What a library for plain POSIX has no way to know is not shown by these, and
# not told by the servers; "$build/flags" has what it was built with.
if grep -qs GRACECLOSE_PORTABLE "$build/flags"; then
	blind='one_way_loss forced_reset threads_server epoll_server pool_sweep'
	got=12 held=0 some=0 end='' expired=3 resets='[0-3]' others='[0-3]'
	reset='ECONNRESET\|ENOTCONN'
	echo "SKIP check_examples: plain POSIX is not enough for $blind"
else
	blind='' got=15 held=1 some='[1-9][0-9]*' end=', but no end'
	expired=0 resets=3 others=0 reset=ECONNRESET
fi

for e in one_way_loss forced_reset early_reply threads_server epoll_server \
    pool_sweep every_ending; do
	program=$build/examples/$e
	"$program" --help >"$dir/out" 2>"$dir/err" </dev/null ||
	    bad "$e --help fails"
	grep -q "^usage: $e" "$dir/out" || bad "$e --help shows no usage"
	[ -s "$dir/err" ] && bad "$e --help writes to standard error"

	"$program" --no-such-option >"$dir/out" 2>"$dir/err" </dev/null
	[ $? -eq 2 ] || bad "$e --no-such-option does not exit with 2"
	"$program" surplus >"$dir/out" 2>"$dir/err" </dev/null
	[ $? -eq 2 ] || bad "$e surplus does not exit with 2"
	[ "$(wc -l <"$dir/err")" -eq 1 ] || bad "$e surplus: not one line"

	case " $blind " in *" $e "*) continue ;; esac
	"$program" >"$dir/out" 2>&1 </dev/null || {
		bad "$e came out differently:"
		tail -n 5 "$dir/out"
	}
done
for args in 'one_way_loss --size 0' 'one_way_loss --idle never' \
    'forced_reset --after -1' 'early_reply --runs 0' \
    'threads_server --port 65536' 'threads_server --threads 0' \
    'threads_server --pending -1' 'threads_server --idle soon' \
    'threads_server --deadline 0' 'threads_server --seconds -1' \
    'threads_server --client 3' 'threads_server --port 1 --client 0' \
    'epoll_server --port http' 'epoll_server --conns 4097' \
    'epoll_server --idle 0' 'epoll_server --deadline -1' \
    'epoll_server --client 3' 'epoll_server --port 0 --client 1' \
    'pool_sweep --pool 0' 'pool_sweep --pool 401' \
    'one_way_loss --pcap' 'one_way_loss --svg'; do
	# shellcheck disable=SC2086 # the words are meant to be split
	set -- $args
	program=$build/examples/$1
	shift
	"$program" "$@" >"$dir/out" 2>"$dir/err" </dev/null
	[ $? -eq 2 ] || bad "$args does not exit with 2"
	[ "$(wc -l <"$dir/err")" -eq 1 ] || bad "$args: not one line"
done
[ -n "$blind" ] ||
    "$build/examples/pool_sweep" --pool 7 >"$dir/out" 2>&1 </dev/null ||
    bad "pool_sweep --pool 7 came out differently"

# On the wire: a ladder of each connection that the scenes have, in the
# locale's characters; what the file has is what was shown.
dry='no capture of the segments'
wire() {	# wire LADDERS EXAMPLE OPTION...: in $dir/out, $dir/err
	ladders=$1 e=$2
	program=$build/examples/$2
	shift 2
	"$program" --wire "$@" >"$dir/out" 2>"$dir/err" </dev/null ||
	    bad "$e --wire $*: exit status $?"
	if grep -q "$dry" "$dir/err"; then
		[ "$(wc -l <"$dir/err")" -eq 1 ] || bad "$e: not one line"
		return 1
	fi
	n=$(grep -c '^On the wire, ' "$dir/out")
	[ "$n" -eq "$ladders" ] || bad "$e --wire: $n ladders, not $ladders"
}

# tcpdump has the numbers of a SYN, and of an RST by itself, as they are.
plain='/\[S/s/, [sa][ec][qk] [0-9]*//g; /\[R\]/s/, seq [0-9]*//'

shown() {	# shown CLIENT SERVER: the segments of this scene, in order
	sed -n "1,/^On the wire, between ports $1 and $2:/p" "$dir/out" |
	    awk '/^ *ms  who /{ n = 0 } / (-->|<--) /{ line[n++] = $0 }
	    END { for (i = 0; i < n; i++) print line[i] }' |
	    sed "s/.* \\(\\[.*length [0-9]*\\).*/\\1/; $plain"
}

in_file() {	# in_file CLIENT SERVER: the same from tcpdump
	tcpdump -nr "$dir/pcap" "tcp port $1 and port $2" 2>/dev/null |
	    sed "s/.*Flags //; s/options \\[[^]]*\\], //; $plain"
}

same_as_tcpdump() {	# the first scenes, which have one connection each
	command -v tcpdump >/dev/null || return
	sed -n 's/^On the wire, between ports \(.*\) and \(.*\):$/\1 \2/p' \
	    "$dir/out" | head -n 3 | while read -r client server; do
		shown "$client" "$server" >"$dir/shown"
		in_file "$client" "$server" |
		    head -n "$(wc -l <"$dir/shown")" >"$dir/in_file"
		diff "$dir/shown" "$dir/in_file"
	done >"$dir/diff"
	[ -s "$dir/shown" ] && [ ! -s "$dir/diff" ] && return
	bad 'tcpdump -r shows other segments:'
	cat "$dir/diff"
}

if [ -n "$blind" ]; then
	LC_ALL=C.UTF-8 wire 2 early_reply --runs 1
elif LC_ALL=C wire 7 one_way_loss --idle 1 --pcap "$dir/pcap"; then
	LC_ALL=C grep -q '[^ -~]' "$dir/out" && bad '--wire, LC_ALL=C: no ASCII'
	grep -q '|<-* \[R\] seq 2 -*| CLOSE$' "$dir/out" ||
	    bad 'one_way_loss --wire shows no RST'
	grep -q '|-* \[P.\] 1001:2001, 1000 bytes, unacked -*>|' "$dir/out" ||
	    bad 'one_way_loss --wire shows no loss'
	grep -q '^  *[0-9.]* .*|.*|.\{14,\}' "$dir/out" &&
	    bad 'a ladder of more than 79 columns'
	same_as_tcpdump
	LC_ALL=C.UTF-8 wire 18 forced_reset --after 1
	grep -q '│←─* \[R.\] ack 1 ─*│ CLOSE$' "$dir/out" ||
	    bad 'forced_reset --wire, UTF-8: no RST'
	LC_ALL=C.UTF-8 wire 2 early_reply --runs 1 --ascii
	LC_ALL=C grep -q '[^ -~]' "$dir/out" && bad '--ascii: no ASCII'
else
	echo "SKIP check_examples --wire: $(sed "s/.*$dry: //" "$dir/err")"
fi
if [ -z "$blind" ] &&
    setpriv --bounding-set -net_raw --inh-caps -net_raw true 2>/dev/null; then
	setpriv --bounding-set -net_raw --inh-caps -net_raw \
	    "$build/examples/one_way_loss" --wire --idle 1 >"$dir/out" \
	    2>"$dir/err" || bad '--wire without CAP_NET_RAW fails'
	[ "$(grep -c "$dry" "$dir/err") $(wc -l <"$dir/err")" = '1 1' ] ||
	    bad '--wire without CAP_NET_RAW: not one line that says so'
fi

# Without the right to capture there is nothing to show, which is no failure.
if setpriv --bounding-set -net_raw --inh-caps -net_raw true 2>/dev/null; then
	setpriv --bounding-set -net_raw --inh-caps -net_raw \
	    "$build/examples/every_ending" >"$dir/out" 2>&1 ||
	    bad 'every_ending without CAP_NET_RAW fails'
	grep -q 'no right to capture\|without libpcap' "$dir/out" ||
	    bad 'every_ending without CAP_NET_RAW does not say so'
	[ "$(wc -l <"$dir/out")" -eq 1 ] ||
	    bad 'every_ending without CAP_NET_RAW: not one line'
fi

# The picture: the loss on the left, the verdict on the right; no file without
# it, and no line but one that says why.
no_picture() {	# no_picture WHY COMMAND...: exit status 1, and the file as it was
	why=$1
	shift
	"$@" >"$dir/out" 2>"$dir/err" </dev/null
	[ $? -eq 1 ] || bad "--svg, $why: not exit status 1"
	[ "$(wc -l <"$dir/err")" -eq 1 ] || bad "--svg, $why: not one line"
	[ "$(cat "$dir/old.svg")" = old ] || bad "--svg, $why: the file changed"
}

echo old >"$dir/old.svg"
if [ -n "$blind" ]; then
	:
elif "$build/examples/one_way_loss" --svg "$dir/a.svg" >"$dir/out" \
    2>"$dir/err" </dev/null; then
	for text in '1000 bytes, lost' RST 'send(): EPIPE' 'graceful_close() = 0'; do
		grep -q ">${text}[:.]*</text>" "$dir/a.svg" ||
		    bad "no \"$text\" in the picture"
	done
	[ -s "$dir/err" ] && bad '--svg writes to standard error'
	grep -q '^On the wire' "$dir/out" && bad '--svg does what --wire does'
	no_picture 'no such directory' "$build/examples/one_way_loss" \
	    --idle 1 --svg "$dir/none/a.svg"
elif grep -q 'svg needs a capture' "$dir/err"; then
	echo "SKIP check_examples --svg: $(cat "$dir/err")"
	no_picture 'no capture' "$build/examples/one_way_loss" \
	    --svg "$dir/old.svg"
else
	bad "one_way_loss --svg fails: $(cat "$dir/err")"
fi
if [ -z "$blind" ] &&
    setpriv --bounding-set -net_raw --inh-caps -net_raw true 2>/dev/null; then
	no_picture 'no CAP_NET_RAW' setpriv --bounding-set -net_raw \
	    --inh-caps -net_raw "$build/examples/one_way_loss" \
	    --svg "$dir/old.svg"
fi

await() {	# await PATTERN FILE: until a line of it is there, 10 s at most
	n=0
	until grep -q "$1" "$2"; do
		n=$((n + 1))
		[ $n -le 200 ] || { bad "no \"$1\" within 10 s"; return 1; }
		sleep 0.05
	done
}

says() {	# says WHO PATTERN...: what the server wrote has these
	who=$1
	shift
	for pattern; do
		grep -q "$pattern" "$dir/log" && continue
		bad "$who does not say \"$pattern\":"
		cat "$dir/log"
	done
}

start() {	# start EXAMPLE OPTION...: in $server and $port
	program=$build/examples/$1
	shift
	: >"$dir/log"
	"$program" --port 0 "$@" >"$dir/log" 2>&1 </dev/null &
	server=$!
	await 'port [0-9]' "$dir/log"
	port=$(sed -n 's/.* port \([0-9]*\)$/\1/p;q' "$dir/log")
}

stop() {	# stop SIGNAL: it ends, and ends well
	kill "-$1" "$server"
	wait "$server" || bad "${program##*/} at SIG$1: exit status $?"
	server=
}

visit() {	# visit EXAMPLE: its clients come, three of each manner
	"$build/examples/$1" --port "$port" --client 3 >"$dir/out" 2>&1 \
	    </dev/null && return
	bad "$1 --client, at ${program##*/}:"
	cat "$dir/out"
}

hold() {	# one that asks and reads one byte, one that is silent
	: >"$dir/held"
	# shellcheck disable=SC2016 # bash has /dev/tcp, and sets $1
	bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" 4<>"/dev/tcp/127.0.0.1/$1"
	    echo "a reply, please" >&3
	    read -r -N 1 -u 3
	    echo held
	    exec sleep 30' hold "$port" >"$dir/held" </dev/null &
	holder=$!
	await held "$dir/held"
}

release() {
	kill "$holder"
	wait "$holder" 2>/dev/null
	holder=
}

# Each is visited by the clients of the other; check_flood.sh has more of them.
start threads_server --idle 400
visit epoll_server
"$program" --port "$port" --idle 1 >"$dir/out" 2>&1 </dev/null
[ $? -eq 1 ] || bad 'threads_server on a port that is taken: not 1'
stop TERM
says threads_server \
    "^18 clients; .* $expired expired, $others other; under way 0" \
    "$reset"

start epoll_server --idle 400
visit threads_server
stop TERM
says epoll_server '^SIGTERM: 0 connections' \
    "^18 clients: $got got all we sent, 12 of them" \
    "^$resets reset, $expired expired, 0 cut by us; 3 had been idle"

# With clients connected the closes end at the deadline, and are reported.
for sig in TERM INT; do
	start threads_server --deadline 200
	hold
	stop $sig
	release
	says "threads_server at SIG$sig" 'the deadline has passed' \
	    '^2 clients; .* under way 2, ' \
	    "ECANCELED, $some bytes not acknowledged$" \
	    "ECANCELED, 0 bytes not acknowledged$end"

	start epoll_server --deadline 200
	hold
	stop $sig
	release
	says "epoll_server at SIG$sig" "^SIG$sig: 2 connections, 200 ms" \
	    "^2 clients: $held got all we sent, 0 of them" \
	    '^0 reset, 0 expired, 2 cut by us; 0 had been idle'
done

start threads_server --seconds 1
wait "$server" || bad "threads_server --seconds 1: exit status $?"
server=
says threads_server '^0 clients; '
exit $status
