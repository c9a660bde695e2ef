#!/bin/sh
# replycheck tells a server that loses replies from one that loses none, as a
# table and as JSON, and says in one line what it cannot do.
build=${BUILD:-build}
program=$build/tools/replycheck
dir=$(mktemp -d) || exit 1
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
status=0
bad() { echo "check_replycheck: $*"; status=1; }

run() {	# run STATUS ARGUMENT...: it exits so
	expected=$1
	shift
	"$program" "$@" >"$dir/out" 2>"$dir/err" </dev/null
	rv=$?
	[ $rv -eq "$expected" ] && return
	bad "$*: exit status $rv, not $expected"
	cat "$dir/out" "$dir/err"
}

says() {	# says PATTERN: the output has it
	grep -q -- "$1" "$dir/out" && return
	bad "it does not say \"$1\":"
	cat "$dir/out"
}

start() {	# start OPTION...: in $server and $url
	: >"$dir/log"
	"$build/examples/threads_server" --port 0 "$@" >"$dir/log" 2>&1 \
	    </dev/null &
	server=$!
	tries=0
	until grep -q 'port [0-9]' "$dir/log"; do
		sleep 0.1
		tries=$((tries + 1))
		[ $tries -lt 300 ] || { bad 'no server'; exit 1; }
	done
	url=tcp://127.0.0.1:$(sed -n 's/.* port \([0-9]*\)$/\1/p;q' "$dir/log")
}

stop() {
	kill "$server"
	wait "$server" 2>/dev/null
	server=
}

run 0 --help
says '^usage: replycheck'
for args in '' '--no-such-option http://127.0.0.1' '-n 0 http://127.0.0.1' \
    '-n 100001 http://127.0.0.1' '--at-once 101 http://127.0.0.1' \
    '--upload 2g http://127.0.0.1' '--upload 4x http://127.0.0.1' \
    '--upload -1 http://127.0.0.1' '--upload k http://127.0.0.1' \
    '--reads never http://127.0.0.1' '--slow -1 http://127.0.0.1' \
    '--timeout 0 http://127.0.0.1' 'http://127.0.0.1 surplus' \
    'ftp://127.0.0.1' 'https://127.0.0.1:1' 'http://' 'http://:80' \
    'http://user@127.0.0.1/' 'http://127.0.0.1:0' 'http://127.0.0.1:65536' \
    'http://127.0.0.1:http' \
    'http://127.0.0.1:' 'tcp://127.0.0.1' 'http://[::1' 'http://[::1]x' \
    'http://127.0.0.1/#x' \
    '--upload 0 tcp://127.0.0.1:1' '--raw /no-such-file http://127.0.0.1' \
    '--raw /dev/zero http://127.0.0.1'; do
	# shellcheck disable=SC2086 # the words are meant to be split
	run 2 $args
	lines=$(wc -l <"$dir/err")
	[ "$lines" -eq 1 ] || bad "$args: $lines lines to standard error"
done

echo 'a reply, please' >"$dir/request"
set -- -n 10 --upload 1m --raw "$dir/request" --timeout 60
start
run 0 "$@" "$url"
says '^after it sent  *10  *0  *0  *0  *0 |  *0  *10$'
says '^while it sends  *10  *0  *0  *0  *0 |  *0  *10$'
says '^0 of 20 replies were lost; .* loses 0\.$'
run 0 --json --reads after "$@" "$url"
says '^{"url": "tcp://.*", "reads": "after", "requests": 10, .*"whole": 10, '
[ "$(wc -l <"$dir/out")" -eq 1 ] || bad 'not one object'
if command -v python3 >/dev/null; then
	python3 -m json.tool "$dir/out" >/dev/null || bad 'that is no JSON'
fi
"$program" "$@" "$url" >/dev/full 2>/dev/null
[ $? -eq 2 ] || bad 'nothing can be written: not 2'
"$program" --help >/dev/full 2>/dev/null
[ $? -eq 2 ] || bad 'no help can be written: not 2'
run 2 --tls "$@" "$url"
[ "$(wc -l <"$dir/err")" -eq 1 ] || bad '--tls, without TLS there: not one line'
stop
start --plain
run 1 "$@" "$url"
says '^after it sent  *0  *0  *10  *0  *0 |'
says '^20 of 20 replies were lost; .* loses 20\.$'
says 'graceclose(7)'
run 1 "$@" --reads after --watch "$url"
if [ -s "$dir/err" ]; then
	[ "$(wc -l <"$dir/err")" -eq 1 ] || bad '--watch says more than a line'
	grep -q -- '--watch: ' "$dir/err" || bad '--watch does not say why'
else
	says '^A lost reply, from port [0-9]*:$'
	says 'RST'
	says 'server reset it'
fi
run 2 --json --watch "$url"
stop
run 2 "$@" "$url"
grep -q 'Connection refused' "$dir/err" || bad 'it does not say why'
exit $status
