# asking.sh - what servers.sh and retrofit.sh share; it is sourced
#
# choose takes the arguments.  own_network runs the script again in a network of
# its own, where every port is free, and nobody else is asked.  prepare makes
# $dir: pages of www/, and room for configurations.  ask starts a server, has
# replycheck ask it, and stops it.
# shellcheck shell=bash disable=SC2034 # the answers are for them
requests=${REQUESTS:-100}
port=8000 pid=

choose() {	# choose ARGUMENT...: in $names, those of $all by default
	case ${1-} in
	--help)	sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
	esac
	names=("$@")
	[ $# -gt 0 ] || names=("${all[@]}")
	local name
	for name in "${names[@]}"; do
		[[ " ${all[*]} " = *" $name "* ]] && continue
		echo "${0##*/}: no such server: $name (there are: ${all[*]})" >&2
		exit 2
	done
}

own_network() {	# own_network SCRIPT ARGUMENT...
	[ -z "${OWN_NETWORK-}" ] || return 0
	can_own_network
	export OWN_NETWORK=yes
	# shellcheck disable=SC2016 # the inner shell expands it
	exec "${own[@]}" sh -c 'ip link set lo up && exec "$0" "$@"' "$@"
}

can_own_network() {
	own=(unshare -n)
	[ "$(id -u)" -eq 0 ] || own=(unshare -Urn)
	"${own[@]}" ip link set lo up || {
		echo 'this takes a network namespace: root, or unshare -Urn' >&2
		exit 1
	}
}

# It has 5 seconds to end by itself.
stop() {
	local i
	[ -n "$pid" ] || return 0
	kill "$pid" 2>/dev/null
	for ((i = 0; i < 50; i++)); do
		kill -0 "$pid" 2>/dev/null || { pid=; return; }
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	pid=
}

finish() {
	stop
	rm -rf "$dir"
}

clean_up() {	# at the end, however that comes
	trap finish EXIT
	trap 'exit 1' INT TERM
}

prepare() {
	dir=$(mktemp -d) || exit 1
	clean_up
	chmod 755 "$dir"
	mkdir "$dir/www" "$dir/www/errors"
	head -c 1048576 /dev/zero | tr '\0' x >"$dir/www/page.html"
	local error
	for error in 400 404 413 501; do
		ln "$dir/www/page.html" "$dir/status-$error.html"
		ln "$dir/www/page.html" "$dir/www/errors/err$error.html"
		ln "$dir/www/page.html" "$dir/www/errors/error$error.html"
	done
	head -c 65536 "$dir/www/page.html" >"$dir/page.64k"
}

# configure_X: a file, and $arguments, for those that both scripts start
configure_tinyproxy() {
	cat >"$dir/conf" <<-EOF
	Port $port
	Listen 127.0.0.1
	Timeout 10
	DefaultErrorFile "$dir/www/page.html"
	EOF
	arguments=(-d -c "$dir/conf")
}

configure_mini-httpd() {
	arguments=(-D -h 127.0.0.1 -p "$port" -d "$dir/www" -i "$dir/pid"
	    -l /dev/null)
}

configure_busybox() {
	echo "E501:$dir/www/page.html" >"$dir/conf"
	arguments=(httpd -f -p "127.0.0.1:$port" -h "$dir/www" -c "$dir/conf")
}

configure_h2o() {
	cat >"$dir/conf" <<-EOF
	user: $(id -un)
	pid-file: $dir/pid
	error-log: $dir/log
	limit-request-body: 1000
	error-doc:
	  - { status: 405, url: /page.html }
	  - { status: 413, url: /page.html }
	listen: { host: 127.0.0.1, port: $port }
	hosts:
	  default:
	    paths:
	      /: { file.dir: $dir/www }
	EOF
	arguments=(-c "$dir/conf")
}

heading() {
	echo "Whole replies of $requests, early ones to uploads of 4 MiB; the" \
	    "client reads after it sent, or while it sends"
	echo
}

await() {	# until the server takes a connection
	local i
	for ((i = 0; i < 100; i++)); do
		(: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
		kill -0 "$pid" 2>/dev/null || return 1
		sleep 0.1
	done
	return 1
}

value() {	# value KEY ROW: from the JSON of that row
	sed -n "$2s/.*\"$1\": \([0-9]*\).*/\1/p" "$dir/answer"
}

# ask COMMAND...: in $whole and $simple, the client reads after | while, and
# $status; 1: it did not start, and its output says why.
ask() {
	local failed=0 replycheck
	replycheck=$(realpath -e "${BUILD:-build}/tools/replycheck") || exit 1
	"$@" >"$dir/output" 2>&1 </dev/null &
	pid=$!
	if await; then
		"$replycheck" --json -n "$requests" \
		    "http://127.0.0.1:$port/upload" >"$dir/answer" 2>&1
		[ $? -le 1 ] || { cat "$dir/answer" >&2; failed=1; }
		whole=("$(value whole 1)" "$(value whole 2)")
		simple=("$(value simple_client 1)" "$(value simple_client 2)")
		status=$(sed -n '1s/.*"statuses": {\(.*\)}}/\1/p' \
		    "$dir/answer" | sed 's/"\([0-9]*\)": [0-9]*/\1/g')
	else
		tail -n 3 "$dir/output" >&2
		failed=1
	fi
	stop
	return $failed
}
