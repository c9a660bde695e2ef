#!/bin/bash
# servers.sh - which servers lose their early replies
#
# usage: servers.sh [SERVER...]		all that it knows by default
#
# Starts each server that is installed, unmodified and on loopback, with a
# configuration that refuses an upload with a page of 1 MiB where it can be
# told to.  replycheck asks it REQUESTS times (100), and the server is stopped.
# A server that is not installed is a line of the table.
set -u
all=(nginx lighttpd apache2 haproxy mini-httpd node python3 gunicorn h2o varnish
    busybox webfs tinyproxy)
# shellcheck source=bench/asking.sh
. "$(dirname "$0")/asking.sh"
choose "$@"
own_network "$0" "$@"
prepare

# --- The servers: each sets package, and runs in the foreground on $port. ---

run_nginx() {
	package=nginx
	cat >"$dir/conf" <<-EOF
	$([ "$(id -u)" -ne 0 ] || echo 'user root root;')
	daemon off;
	pid $dir/pid;
	error_log $dir/log crit;
	events { worker_connections 512; }
	http {
		access_log off;
		client_body_temp_path $dir/temp; proxy_temp_path $dir/temp;
		fastcgi_temp_path $dir/temp; uwsgi_temp_path $dir/temp;
		scgi_temp_path $dir/temp;
		server {
			listen 127.0.0.1:$port;
			root $dir/www;
			client_max_body_size 1k;
			error_page 413 /page.html;
		}
	}
	EOF
	server=(nginx -p "$dir" -c "$dir/conf")
}

run_lighttpd() {
	package=lighttpd
	cat >"$dir/conf" <<-EOF
	server.document-root = "$dir/www"
	server.bind = "127.0.0.1"
	server.port = $port
	server.max-request-size = 1
	server.errorfile-prefix = "$dir/status-"
	EOF
	server=(lighttpd -D -f "$dir/conf")
}

run_apache2() {
	package=apache2-bin
	cat >"$dir/conf" <<-EOF
	ServerRoot $dir
	ServerName localhost
	PidFile $dir/pid
	ErrorLog $dir/log
	DefaultRuntimeDir $dir
	Listen 127.0.0.1:$port
	LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
	LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
	DocumentRoot $dir/www
	LimitRequestBody 1000
	ErrorDocument 405 /page.html
	ErrorDocument 413 /page.html
	EOF
	server=(apache2 -f "$dir/conf" -DFOREGROUND)
}

run_haproxy() {
	package=haproxy
	cat >"$dir/conf" <<-EOF
	global
		tune.bufsize 262144
	defaults
		mode http
		timeout client 10s
		timeout server 10s
		timeout connect 10s
	frontend refuse
		bind 127.0.0.1:$port
		http-request return status 413 content-type text/html file $dir/page.64k
	EOF
	page='64 KiB'
	server=(haproxy -db -f "$dir/conf")
}

run_mini-httpd() {
	package=mini-httpd
	configure_mini-httpd
	server=(mini_httpd "${arguments[@]}")
}

run_node() {
	package=nodejs
	cat >"$dir/server.js" <<-EOF
	const page = Buffer.alloc(1 << 20, 'x');
	require('http').createServer((request, reply) => {
		reply.writeHead(413, { Connection: 'close',
		    'Content-Length': page.length });
		reply.end(page);
	}).listen($port, '127.0.0.1');
	EOF
	server=(node "$dir/server.js")
}

run_python3() {
	package=python3
	page='0.5 KiB'
	server=(python3 -m http.server --bind 127.0.0.1 -d "$dir/www" "$port")
}

run_gunicorn() {
	package=gunicorn
	cat >"$dir/app.py" <<-EOF
	def app(environ, start_response):
	    page = b'x' * (1 << 20)
	    start_response('413 Content Too Large',
	        [('Content-Length', str(len(page)))])
	    return [page]
	EOF
	server=(gunicorn --chdir "$dir" -b "127.0.0.1:$port" app:app)
}

run_h2o() {
	package=h2o
	configure_h2o
	server=(h2o "${arguments[@]}")
}

run_varnish() {
	package=varnish
	cat >"$dir/conf" <<-EOF
	vcl 4.1;
	import std;
	backend default none;
	sub vcl_recv { return (synth(413)); }
	sub vcl_synth {
		set resp.body = std.fileread("$dir/www/page.html");
		return (deliver);
	}
	EOF
	server=(varnishd -F -a "127.0.0.1:$port" -f "$dir/conf"
	    -n "$dir/varnish" -s 'malloc,16m')
}

run_busybox() {
	package=busybox-static
	configure_busybox
	server=(busybox "${arguments[@]}")
}

run_webfs() {
	package=webfs
	page='0.2 KiB'
	server=(webfsd -F -i 127.0.0.1 -p "$port" -r "$dir/www")
}

run_tinyproxy() {
	package=tinyproxy-bin
	configure_tinyproxy
	server=(tinyproxy "${arguments[@]}")
}

# --- The table. ---

row() { printf '%-10s %-20.20s %-7s %6s %6s | %6s %6s  %s\n' "$@"; }

show() {	# show SERVER
	page='1 MiB'
	server=()
	port=$((port + 1))
	"run_$1"
	version=$(dpkg-query -W -f '${Version}' "$package" 2>/dev/null)
	if ! command -v "${server[0]}" >/dev/null; then
		row "$1" "apt install $package" - - - - - -
	elif ask "${server[@]}"; then
		row "$1" "$version" "$page" "${whole[@]}" "${simple[@]}" \
		    "$status"
	else
		row "$1" "$version" 'did not start' - - - - -
	fi
}

heading
row server version page after while simple client status
for name in "${names[@]}"; do
	show "$name"
done
