#!/bin/sh
# closewatch reads captures, whole and broken, and prints each connection that
# ended and no other.  It stays within --max, writes valid JSON, drops its
# privileges, and ends at a signal with its summary.

# In a network of its own no other test's connections are captured.
# shellcheck disable=SC2016 # the inner shell expands it
if [ -z "${OWN_NETWORK-}" ] &&
    unshare -n sh -c 'ip link set lo up' 2>/dev/null; then
	OWN_NETWORK=yes exec unshare -n sh -c \
	    'ip link set lo up && exec "$0" "$@"' "$0" "$@"
fi
program=${BUILD:-build}/tools/closewatch
here=$(dirname "$0")
dir=$(mktemp -d) || exit 1
watcher=
writer=
trap 'kill $watcher $writer 2>/dev/null; rm -rf "$dir"' EXIT
status=0
bad() { echo "check_closewatch: $*"; status=1; }
skip() { echo "check_closewatch: SKIP $*"; }

run() {	# run STATUS ARGUMENT...: it exits so, and says little about it
	expected=$1
	shift
	"$program" "$@" >"$dir/out" 2>"$dir/err" </dev/null
	rv=$?
	[ $rv -eq "$expected" ] || bad "$*: exit status $rv, not $expected"
	lines=$(wc -l <"$dir/err")
	[ "$lines" -eq $((expected > 0)) ] ||
	    bad "$*: $lines lines to standard error: $(cat "$dir/err")"
}

says() {	# says WHAT PATTERN...: the output has these
	what=$1
	shift
	for pattern; do
		grep -q -- "$pattern" "$dir/out" && continue
		bad "$what does not say \"$pattern\":"
		cat "$dir/out"
	done
}

tells() {	# tells WHAT NUMBER: of so many connections
	n=$(grep -c ' > ' "$dir/out")
	[ "$n" -eq "$2" ] && return
	bad "$1 reports $n connections, not of $2:"
	cat "$dir/out"
}

# Strings, numbers and words are values; an object or array of values is one.
is_json() {
	awk '{
		gsub(/"([^"\\]|\\.)*"/, "s")
		gsub(/-?[0-9]+(\.[0-9]+)?|true|false|null/, "v")
		while (gsub(/\{(s: [sv](, s: [sv])*)?\}|\[([sv](, [sv])*)?\]/,
		    "v") > 0)
			;
		if ($0 != "v")
			wrong = 1
	}
	END { exit wrong || NR == 0 }' "$dir/out" && return
	bad "$1 --json is no JSON:"
	cat "$dir/out"
}

run 0 --help
says --help '^usage: closewatch'
for args in --no-such-option surplus '--port 0' '--port 65536' '--port http' \
    '--seconds 0' '--every -1' '--max 0' '--max 1000001' '-i' '-r' \
    '--svg' '-i lo -r file' --follow '--follow -i lo' '--follow -r -' \
    '--idle 1 -r file' '--follow --idle 0 -r file' '--pid 0' '--pid x' \
    '--pid 1 -r file' '--comm x -r file' '--pid 1 --comm x' '--user root' '--user no-such-user'; do
	# shellcheck disable=SC2086 # the words are meant to be split
	run 2 $args
done

run 2 --comm ''
run 2 -r "$here/captures/four_way.pcap" --pid $$
grep -q 'file does not say whose' "$dir/err" || bad "-r, --pid: no reason"

if "$program" -r /dev/null 2>&1 | grep -q 'built without libpcap'; then
	run 1
	echo 'check_closewatch: SKIP: built without libpcap'
	[ $status -eq 0 ] && exit 77
	exit $status
fi

# A capture of raw IPv4, byte by byte.  The client is 10.0.0.1, the server
# 10.0.0.2, port 80; sequence numbers stay below 65536.
byte() {
	for b; do
		# shellcheck disable=SC2059 # an octal escape is meant
		printf "\\$((b >> 6))$((b >> 3 & 7))$((b & 7))"
	done
}
be16() { byte $(($1 >> 8 & 255)) $(($1 & 255)); }
le32() {
	byte $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) \
	    $(($1 >> 24 & 255))
}
header() {	# header [LINK]
	printf '\324\303\262\241\002\000\004\000'
	le32 0; le32 0; le32 65535; le32 "${1:-101}"
}

FIN=1 SYN=2 RST=4 ACK=16
segment() {	# segment MS FROM PORT FLAGS SEQ ACK LENGTH: FROM is 1 or 2
	le32 $((1000 + $1 / 1000)); le32 $(($1 % 1000 * 1000))
	le32 40; le32 $((40 + $7))
	byte 69 0; be16 $((40 + $7)); byte 0 0 0 0 64 6 0 0
	byte 10 0 0 "$2" 10 0 0 $((3 - $2))
	if [ "$2" -eq 1 ]; then be16 "$3"; be16 80; else be16 80; be16 "$3"; fi
	be16 0; be16 "$5"; be16 0; be16 "$6"
	byte 80 "$4"; be16 1000; be16 0; be16 0
}

begin() {	# begin MS PORT SEQ: 100 bytes from the client
	segment "$1" 1 "$2" $SYN "$3" 0 0
	segment "$1" 2 "$2" $((SYN | ACK)) "$3" $(($3 + 1)) 0
	segment "$1" 1 "$2" $ACK $(($3 + 1)) $(($3 + 1)) 100
	segment "$1" 2 "$2" $ACK $(($3 + 1)) $(($3 + 101)) 0
}
end() {		# end MS PORT SEQ: in order
	segment "$1" 1 "$2" $((FIN | ACK)) $(($3 + 101)) $(($3 + 1)) 0
	segment "$1" 2 "$2" $((FIN | ACK)) $(($3 + 1)) $(($3 + 102)) 0
	segment "$1" 1 "$2" $ACK $(($3 + 102)) $(($3 + 2)) 0
}
late_rst() {	# late_rst MS PORT SEQ: the server's
	segment "$1" 2 "$2" $RST $(($3 + 2)) 0 0
}

# A RST within the second belongs to what ended; a later one begins nothing.
{ header; begin 0 5000 1000; end 5 5000 1000; late_rst 500 5000 1000; } \
    >"$dir/late.pcap"
run 0 -r "$dir/late.pcap"
tells 'a late RST' 1
says 'a late RST' 'nothing lost; then a RST from the server (5.0 ms' \
    '^10.0.0.2.80  *server  *1  *0  *0  *0  *0  *0  *0  *0  *1  *0$'
{ header; begin 0 5000 1000; end 5 5000 1000; late_rst 5000 5000 1000; } \
    >"$dir/later.pcap"
run 0 -r "$dir/later.pcap"
tells 'a later RST' 1
says 'a later RST' '100 bytes there, 0 back)$' ' 1 ended, 0 open,'
grep -q 'RST' "$dir/out" && bad 'a RST that came later is told'

# Nor does a FIN that is sent again and again, and each time answered so.
{ header; begin 0 5000 1000; end 5 5000 1000
    for ms in 25000 50000 75000 100000 125000; do
	segment $ms 2 5000 $((FIN | ACK)) 1001 1102 0
	segment $ms 1 5000 $RST 1102 0 0
    done; } >"$dir/again.pcap"
run 0 -r "$dir/again.pcap"
tells 'a FIN sent again' 1
says 'a FIN sent again' 'segments: 17; connections: 1 ended, 0 open,'

# The same ports again, at once; an open one between the same ports.
{ header; begin 0 5000 1000; end 0 5000 1000; begin 10 5000 2000
    end 10 5000 2000; begin 20 5001 3000; } >"$dir/two.pcap"
run 0 -r "$dir/two.pcap"
tells 'ports used again' 2
says 'ports used again' 'segments: 18; connections: 2 ended, 1 open, 0 of'
run 0 -r "$dir/two.pcap" --port 5001
tells '--port' 0
says '--port' '0 ended, 1 open,'
run 0 -r "$dir/two.pcap" --json
is_json two.pcap
[ "$(grep -c '"type": "connection"' "$dir/out")" -eq 2 ] ||
    bad '--json: not 2 connections'
says --json '"type": "summary", "time": 1000.020000, "seconds": 0.020000,' \
    '"client": "10.0.0.1", "client_port": 5000,' '"end": "three_segment"'
"$program" -r - <"$dir/two.pcap" >"$dir/out" 2>"$dir/err" ||
    bad "-r -: exit status $?: $(cat "$dir/err")"
tells '-r -' 2

# With room for one: what ended is told all the same, what is open is dropped.
run 0 -r "$dir/two.pcap" --max 1
tells '--max 1' 2
{ header; for p in 1 2 3 4 5; do begin $p 500$p 1000; done
    end 9 5005 1000; } >"$dir/idle.pcap"
run 0 -r "$dir/idle.pcap" --max 1
tells '--max 1, idle ones' 1
says '--max 1, idle ones' '^4 dropped, '
run 0 -r "$dir/idle.pcap"
says 'idle ones' ' 1 ended, 4 open, 0 of them half-closed'

# A summary every second of the capture; the end after so many.
{ header; for s in 0 1 2 3; do begin ${s}500 5000 ${s}000
    end ${s}500 5000 ${s}000; done; } >"$dir/long.pcap"
run 0 -r "$dir/long.pcap" --every 1
[ "$(grep -c '; connections: ' "$dir/out")" -eq 4 ] ||
    bad "--every 1: not three summaries and the last"
run 0 -r "$dir/long.pcap" --every 1 --seconds 2
[ "$(grep -c '; connections: ' "$dir/out")" -eq 2 ] ||
    bad "--every 1 --seconds 2: not two summaries"
run 0 -r "$dir/long.pcap" --seconds 2
tells '--seconds 2' 2

# What is no capture, or only to a part.
header >"$dir/empty.pcap"
run 0 -r "$dir/empty.pcap"
says 'an empty capture' 'segments: 0; connections: 0 ended, 0 open'
run 0 -r "$dir/empty.pcap" --json
is_json 'an empty capture'
run 1 -r "$dir/no-such-file"
run 1 -r "$dir"
run 1 -r /dev/null
head -c 4000 /dev/urandom >"$dir/garbage"
run 1 -r "$dir/garbage"
size=$(wc -c <"$dir/two.pcap")
head -c $((size - 17)) "$dir/two.pcap" >"$dir/cut.pcap"
run 1 -r "$dir/cut.pcap"
tells 'a truncated capture' 2
grep -q 'truncated' "$dir/err" || bad 'a truncated capture: not called so'
for link in 9:PPP 147:147 105:IEEE802_11; do
	header "${link%:*}" >"$dir/link.pcap"
	run 1 -r "$dir/link.pcap"
	grep -q "link type ${link#*:} is not read" "$dir/err" ||
	    bad "link type ${link#*:}: $(cat "$dir/err")"
done
for link in 0 1 108 113 276; do
	header "$link" >"$dir/link.pcap"
	run 0 -r "$dir/link.pcap"
done
{ header; for i in 1 2 3 4 5 6 7 8 9; do le32 $i; le32 0; le32 64; le32 64
    head -c 64 /dev/urandom; done; } >"$dir/noise.pcap"
run 0 -r "$dir/noise.pcap"
says noise 'connections: '

for capture in "$here"/captures/*.pcap; do
	[ -e "$capture" ] || { skip 'test/captures: there are none'; break; }
	run 0 -r "$capture"
	says "$capture" '; connections: '
	grep 'packets were not' "$dir/out" && bad "$capture: broken packets"
	run 0 -r "$capture" --json
	is_json "$capture"
done

# A server that sends RSTs hears what it could change, a client does not.
advised() {	# advised CAPTURE PATTERN: in the first line of advice
	run 0 -r "$here/captures/$1.pcap"
	sed -n '/^what the servers could change$/{n; p; }' "$dir/out" |
	    grep -q "^127.0.0.1.[0-9]*: $2" || {
		bad "$1: no advice \"$2\""
		cat "$dir/out"
	}
}

advised early_reply 'take unread input .*, or remove SO_LINGER 0$'
advised unread_zero_window 'take unread input .* as graceful_close(3) does$'
advised linger0_loses 'look for SO_LINGER 0, connect(2) with AF_UNSPEC, or '
advised late_data 'half-close, and read to the end, '
grep -q '^graceclose_recipes(7) shows how' "$dir/out" || bad 'no recipe is named'
for capture in four_way client_first refused; do
	run 0 -r "$here/captures/$capture.pcap"
	grep 'could change' "$dir/out" && bad "$capture: advice for nobody"
done

# The picture shows the first that lost data or was reset, else the first that
# ended, else the first.  Root opens the file before it becomes nobody.
pictured() {	# pictured CAPTURE... -- TEXT...: --svg draws that
	first=1
	while [ "$1" != -- ]; do	# one file header is enough
		tail -c +$first "$here/captures/$1.pcap"
		first=25
		shift
	done >"$dir/all.pcap"
	shift
	run 0 -r "$dir/all.pcap" --svg "$dir/a.svg"
	for said; do
		grep -q ">$said</text>" "$dir/a.svg" ||
		    bad "--svg draws no \"$said\""
	done
	[ "$(grep -c '</svg>' "$dir/a.svg")" -eq 1 ] || bad '--svg: no picture'
}

if [ -e "$here/captures/four_way.pcap" ]; then
	: >"$dir/a.svg"
	chmod 600 "$dir/a.svg"
	pictured late_data -- '1000 bytes lost' '1000 bytes, lost' RST
	pictured four_way -- 'Nothing lost' FIN TIME_WAIT
	pictured four_way refused late_data unread -- '1000 bytes lost'
	pictured still_open four_way -- 'Nothing lost'
	pictured still_open -- 'Still open'
	pictured half_closed -- 'Still open'
	pictured linger0_read -- Reset
	pictured refused -- Refused
	pictured four_way_ipv6 -- '::1.44950 &gt; ::1.44651'
fi
echo old >"$dir/a.svg"
run 0 -r "$dir/empty.pcap" --svg "$dir/a.svg"
grep -q '>No TCP was seen</text>' "$dir/a.svg" || bad '--svg: of nothing'
run 1 -r "$dir/empty.pcap" --svg "$dir/none/a.svg"
run 1 -r "$dir/empty.pcap" --svg /dev/full
run 1 -r "$dir/none.pcap" --svg "$dir/b.svg"
[ -e "$dir/b.svg" ] && bad '--svg makes a file without a capture'

# The page shows what the program prints, and names each key of its JSON.
page=$here/../../man/closewatch.8
sed -n '/^\$ TZ=UTC closewatch -r early_reply/,/^\.Ed/p' "$page" |
    sed '1d; $d' >"$dir/page"
[ -s "$dir/page" ] || bad 'the page has no example of early_reply.pcap'
TZ=UTC run 0 -r "$here/captures/early_reply.pcap"
diff "$dir/page" "$dir/out" || bad 'the page shows (<) another output'
run 0 -r "$here/captures/early_reply.pcap" --json
grep -o '"[a-z_]*":' "$dir/out" | tr -d '":' | sort -u | while read -r key; do
	grep -Eq "^\.(It|Dq)( .*)? $key( |\$)" "$page" || echo "$key"
done >"$dir/keys"
[ -s "$dir/keys" ] && bad "the page does not name $(xargs <"$dir/keys")"

tries=$((200 * ${CHECK_PATIENCE:-1}))	# of 50 ms: see run.sh
await() {	# await PATTERN FILE: until a line of it is there
	n=0
	until grep -q "$1" "$2" 2>/dev/null; do
		n=$((n + 1))
		[ $n -le $tries ] || { bad "no \"$1\" in time"; return 1; }
		sleep 0.05
	done
}

ends() {	# ends SIGNAL WHAT: at this signal, well, and with a summary
	kill "-$1" "$watcher"
	wait "$watcher" || bad "$2 at SIG$1: exit status $?"
	watcher=
	says "$2 at SIG$1" 'connections: \|"type": "summary"'
}

# A pipe that nothing comes through any more.
mkfifo "$dir/pipe"
exec 9<>"$dir/pipe"
"$program" -r - <"$dir/pipe" >"$dir/out" 2>"$dir/err" &
watcher=$!
cat "$dir/two.pcap" >"$dir/pipe"
await '10.0.0.1.5000' "$dir/out" &&
    await '^State:.S' "/proc/$watcher/status" && ends TERM 'a pipe'

# Nor does anybody read what it says: that is the end of it.
unheard() {	# unheard WHAT: it ends by itself, with 1, and says why
	n=0
	while kill -0 "$watcher" 2>/dev/null && [ $n -lt $tries ]; do
		n=$((n + 1))
		sleep 0.05
	done
	kill "$watcher" 2>/dev/null
	wait "$watcher"
	rv=$?
	watcher=
	[ $rv -eq 1 ] || bad "$1, unheard: exit status $rv"
	[ "$(grep -c 'standard output: ' "$dir/err")" -eq 1 ] ||
	    bad "$1, unheard: $(cat "$dir/err")"
}
"$program" -r - <"$dir/pipe" >/dev/full 2>"$dir/err" &
watcher=$!
cat "$dir/two.pcap" >"$dir/pipe"
unheard 'a pipe'
exec 9>&-

# A file that grows.  Each connection is told while nothing else is written, and
# half a record waits for its other half.
follow() {	# follow [OPTION...]: $dir/grow.pcap, in $watcher
	: >"$dir/err"
	"$program" -r "$dir/grow.pcap" --follow "$@" >"$dir/out" 2>"$dir/err" \
	    </dev/null &
	watcher=$!
	await following "$dir/err"
}
over() {	# over STATUS WORDS: it ends by itself, and says why
	unended=$watcher
	(await 'the output ends here' "$dir/err") || kill "$unended"
	wait "$unended"
	rv=$?
	watcher=
	[ $rv -eq "$1" ] || bad "--follow, $2: exit status $rv"
	grep -q "$2.*: the output ends here" "$dir/err" ||
	    bad "--follow, no \"$2\": $(cat "$dir/err")"
	says "--follow, $2" '; connections: '
}

{ header; begin 0 5000 1000; end 0 5000 1000; } >"$dir/one.pcap"
one=$(wc -c <"$dir/one.pcap")
: >"$dir/grow.pcap"
follow
head -c 11 "$dir/one.pcap" >>"$dir/grow.pcap"
sleep 0.5	# longer than its pauses
head -c $((one - 30)) "$dir/one.pcap" | tail -c +12 >>"$dir/grow.pcap"
sleep 0.5
kill -0 "$watcher" || bad '--follow ends within a record'
grep ' > ' "$dir/out" && bad '--follow tells a connection before its end'
tail -c 30 "$dir/one.pcap" >>"$dir/grow.pcap"
await ' > .* nothing lost' "$dir/out"
tells '--follow' 1
tail -c +$((one + 1)) "$dir/two.pcap" >>"$dir/grow.pcap"
n=0
until [ "$(grep -c ' > ' "$dir/out")" -eq 2 ]; do
	n=$((n + 1))
	[ $n -le $tries ] || { bad '--follow tells no second connection'; break; }
	sleep 0.05
done
grep -q 'connections: ' "$dir/out" && bad '--follow: a summary before the end'
ends INT '--follow'
says '--follow' 'segments: 18; connections: 2 ended, 1 open, 0 of'
follow --json --every 1
await '"type": "summary"' "$dir/out"
ends TERM '--follow --every'
is_json '--follow --every'

follow
await ' > ' "$dir/out"
rm "$dir/grow.pcap"
over 0 'the file was deleted'
cp "$dir/one.pcap" "$dir/grow.pcap"
follow
await ' > ' "$dir/out"
mv "$dir/grow.pcap" "$dir/grown.pcap"
over 0 'the file was renamed'
tells '--follow, renamed' 1
cp "$dir/two.pcap" "$dir/grow.pcap"
follow
await ' > ' "$dir/out"
cp "$dir/one.pcap" "$dir/new.pcap"
mv "$dir/new.pcap" "$dir/grow.pcap"
over 0 'the file was deleted'	# another has its name
cp "$dir/two.pcap" "$dir/grow.pcap"
follow
await ' > ' "$dir/out"
cp "$dir/one.pcap" "$dir/grow.pcap"
over 1 'the file was truncated'
follow --idle 1
over 0 'the file did not grow for 1 s'
tells '--follow --idle' 1
head -c $((one - 1)) "$dir/one.pcap" >"$dir/grow.pcap"
follow --idle 1
over 1 'truncated'
head -c 23 "$dir/one.pcap" >"$dir/grow.pcap"
follow --idle 1
over 1 'no capture as tcpdump'
run 1 -r "$dir/pipe" --follow
run 1 -r "$dir/no-such-file" --follow

run 1 -i no-such-if
if ! "$program" -i lo --seconds 1 >"$dir/out" 2>"$dir/err" </dev/null; then
	skip "the live capture: $(cat "$dir/err")"
	grep -q 'no right to capture\|without libpcap\|not supported' \
	    "$dir/err" || bad 'no live capture: no reason'
	[ "$(wc -l <"$dir/err")" -eq 1 ] || bad 'no live capture: not one line'
	exit $status
fi

# Port 1 of lo is nobody's: who knocks there is refused.
for sig in INT TERM; do
	: >"$dir/err"
	"$program" -i lo --port 1 --json >"$dir/out" 2>"$dir/err" </dev/null &
	watcher=$!
	await watching "$dir/err"
	bash -c 'exec 3<>/dev/tcp/127.0.0.1/1' 2>/dev/null
	await '"end": "refused"' "$dir/out"
	ends $sig 'a live capture'
	is_json 'a live capture'
done
: >"$dir/err"
"$program" --port 1 --seconds 1 >"$dir/out" 2>"$dir/err" </dev/null ||
    bad "--seconds 1: exit status $?"
says '--seconds 1' 'connections: 0 ended'

# A file that tcpdump(8) is writing.
if command -v tcpdump >/dev/null; then
	rm -f "$dir/grow.pcap"
	tcpdump -i lo -U -Z "$(id -un)" -w "$dir/grow.pcap" 'tcp port 1' \
	    >"$dir/tcpdump" 2>&1 </dev/null &
	writer=$!
	await listening "$dir/tcpdump"
	follow --json
	bash -c 'exec 3<>/dev/tcp/127.0.0.1/1' 2>/dev/null
	await '"end": "refused"' "$dir/out"
	kill $writer
	wait $writer
	writer=
	ends TERM '--follow, of tcpdump'
else
	skip '--follow, of tcpdump: tcpdump is not installed'
fi

# A pipe whose reader is gone, for who ignores SIGPIPE, as systemd's services.
: >"$dir/err"
mkfifo "$dir/gone"
(trap '' PIPE; exec "$program" -i lo --port 1 >"$dir/gone" 2>"$dir/err" \
    </dev/null) &
watcher=$!
: <"$dir/gone"
await watching "$dir/err"
bash -c 'exec 3<>/dev/tcp/127.0.0.1/1' 2>/dev/null
unheard 'a live capture'

# Without the right to capture one line says so.
mere() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
if mere "$program" --help >/dev/null 2>&1; then
	for args in '' '-i lo'; do
		# shellcheck disable=SC2086 # the words are meant to be split
		mere "$program" $args >"$dir/out" 2>&1
		[ $? -eq 1 ] || bad "without the right, $args: not 1"
		says 'without the right' 'no right to capture'
		[ "$(wc -l <"$dir/out")" -eq 1 ] ||
		    bad "without the right, $args: not one line"
	done
else
	skip 'without the right to capture: nobody cannot run it here'
fi

# What the kernel says of the process while it captures or reads a pipe, and
# that it then tells what it told before.
field() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$watcher/status"; }
id_of() { id "$1" "$2" 2>/dev/null || echo 65534; }

unprivileged() {	# unprivileged WHAT USER: it is this user, and no more
	[ -r "/proc/$watcher/status" ] || { bad "$1: it has ended"; return; }
	for set in CapInh CapPrm CapEff CapAmb; do
		[ "$(field $set | tr -d 0)" = '' ] ||
		    bad "$1: $set $(field $set)"
	done
	[ "$(field NoNewPrivs)" = 1 ] || bad "$1: no no_new_privs"
	[ -n "$2" ] || return
	u=$(id_of -u "$2") g=$(id_of -g "$2")
	[ "$(field Uid | xargs)" = "$u $u $u $u" ] ||
	    bad "$1: Uid $(field Uid), not $u"
	[ "$(field Gid | xargs)" = "$g $g $g $g" ] ||
	    bad "$1: Gid $(field Gid), not $g"
	[ "$(field Groups | xargs)" = '' ] || bad "$1: Groups $(field Groups)"
}

capture() {	# capture PREFIX...: in $watcher, until it captures
	: >"$dir/err"
	"$@" -i lo --port 1 >"$dir/out" 2>"$dir/err" </dev/null &
	watcher=$!
	await watching "$dir/err"
}

refused() {	# refused WHAT: it reports a connection, and ends well
	bash -c 'exec 3<>/dev/tcp/127.0.0.1/1' 2>/dev/null
	await 'server refused it' "$dir/out"
	ends TERM "$1"
}

if [ "$(id -u)" -ne 0 ]; then
	skip 'privileges: root has some to drop'
	exit $status
fi
capture "$program"
unprivileged 'a capture of root' nobody
refused 'a capture of root'
if id daemon >/dev/null 2>&1; then
	capture "$program" --user daemon
	unprivileged '--user daemon' daemon
	refused '--user daemon'
fi

# The child that sees the sockets of a process keeps the right to do that, and
# no other.  It ends with its parent, however that ends.
child_of() {	# child_of PID
	for s in /proc/[0-9]*/status; do	# one may have ended
		[ "$(sed -n 's/^PPid:[[:space:]]*//p' "$s" 2>/dev/null)" = \
		    "$1" ] || continue
		s=${s#/proc/}
		echo "${s%/status}"
	done
}
alive() {	# alive PID: and no zombie
	sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null |
	    grep -q '^[^ZX]'
}
if "$program" -i lo --pid $$ --seconds 1 >"$dir/out" 2>&1 </dev/null; then
	: >"$dir/err"
	"$program" -i lo --pid $$ >"$dir/out" 2>"$dir/err" </dev/null &
	watcher=$!
	await watching "$dir/err"
	unprivileged --pid nobody
	child=$(child_of $watcher)
	parent=$watcher watcher=$child
	[ "$(field CapEff)" = 0000000000080004 ] ||
	    bad "the child of --pid: CapEff $(field CapEff)"
	[ "$(field CapPrm)" = 0000000000080004 ] ||
	    bad "the child of --pid: CapPrm $(field CapPrm)"
	[ "$(field NoNewPrivs)" = 1 ] || bad 'the child of --pid: new privileges'
	[ "$(field Uid | xargs)" = "$(for i in 1 2 3 4; do
	    id_of -u nobody; done | xargs)" ] ||
	    bad "the child of --pid: Uid $(field Uid)"
	[ "$(field Groups | xargs)" = '' ] ||
	    bad "the child of --pid: Groups $(field Groups)"
	kill -KILL "$parent"
	wait "$parent" 2>/dev/null
	watcher=
	n=0
	while alive "$child" && [ $n -lt $tries ]; do
		n=$((n + 1))
		sleep 0.05
	done
	if alive "$child"; then
		kill -KILL "$child"
		bad 'the child of --pid remains'
	fi
	if mere "$program" --help >/dev/null 2>&1; then
		mere "$program" --pid $$ >"$dir/out" 2>&1
		[ $? -eq 1 ] || bad '--pid without the right: not 1'
		says '--pid without the right' 'no right to see its sockets'
	fi
	sleep 0 &
	wait $!
	run 1 --pid $!
	grep -q 'no such process' "$dir/err" || bad '--pid, ended: no reason'
	"$program" -i lo --seconds 1 --comm none-such >"$dir/out" \
	    2>"$dir/err" </dev/null || bad "--comm none-such: status $?"
	grep -q 'no process is called none-such yet' "$dir/err" ||
	    bad "--comm none-such: $(cat "$dir/err")"
else
	skip "--pid: $(cat "$dir/out")"
	grep -q 'no sock_diag\|not say by sock_diag' "$dir/out" ||
	    bad "--pid: $(cat "$dir/out")"
fi

# A file that only root may read is opened before; its end is the same.
cp "$dir/two.pcap" "$dir/secret.pcap"
chmod 600 "$dir/secret.pcap"
run 0 -r "$dir/secret.pcap"
tells 'a file of root' 2
"$program" -r - <"$dir/pipe" >"$dir/out" 2>"$dir/err" &
watcher=$!
exec 9>"$dir/pipe"
cat "$dir/two.pcap" >&9
await '10.0.0.1.5000' "$dir/out"
unprivileged 'a pipe of root' nobody
exec 9>&-
wait "$watcher" || bad "a pipe of root: exit status $?"
watcher=
tells 'a pipe of root' 2

# File capabilities: it stays the user that it was.
if cp "$program" "$dir/closewatch" && chmod 755 "$dir" &&
    setcap cap_net_raw+ep "$dir/closewatch" 2>/dev/null &&
    mere "$dir/closewatch" --help >/dev/null 2>&1; then
	capture setpriv --reuid 65534 --regid 65534 --clear-groups \
	    "$dir/closewatch"
	unprivileged 'file capabilities' nobody
	refused 'file capabilities'
	mere "$dir/closewatch" -i lo --user daemon >"$dir/out" 2>&1
	[ $? -eq 1 ] || bad 'file capabilities, --user: not 1'
	[ "$(wc -l <"$dir/out")" -eq 1 ] ||
	    bad 'file capabilities, --user: not one line'
else
	skip 'file capabilities: setcap(8) sets none here'
fi

# Its own user namespace has no other user, so that the capabilities go.
if unshare -Urn true 2>/dev/null; then
	: >"$dir/err"
	# shellcheck disable=SC2016 # the inner shell expands it
	unshare -Urn sh -c 'ip link set lo up && exec "$0" -i lo --port 1' \
	    "$program" >"$dir/out" 2>"$dir/err" </dev/null &
	watcher=$!
	await watching "$dir/err"
	unprivileged 'a user namespace' ''
	ends TERM 'a user namespace'
else
	skip 'a user namespace: none may be made here'
fi

# Root that may capture but not become another user: an error, no capture.
setpriv --bounding-set -all,+net_raw --inh-caps -all "$program" -i lo \
    --seconds 1 >"$dir/out" 2>&1 </dev/null
rv=$?
[ $rv -eq 1 ] || bad "cannot drop root: exit status $rv"
says 'cannot drop root' '^closewatch: user nobody: cannot become the user: '
[ "$(wc -l <"$dir/out")" -eq 1 ] || bad 'cannot drop root: not one line'
exit $status
