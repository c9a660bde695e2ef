#!/bin/sh
# graceclose(7), "SYSTEM CALLS", lists the system calls that check_sandbox has
# tried: neither fewer nor more.  A program writes its sandbox from that list.
build=${BUILD:-build}
page=${PAGE:-man/graceclose.7}
suite=$build/test/api/check_sandbox
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

if [ ! -x "$suite" ]; then
	echo "SKIP check_syscall_table: $suite is not built"
	exit 77
fi
if ! grep -q '^\.Sh SYSTEM CALLS' "$page"; then
	echo "$page: no section SYSTEM CALLS"
	exit 1
fi

# Function and call, one pair a line.  A close that is made of several functions
# is tested as a whole, and a reaper with what libc does for its thread.
group() {
	sed -e 's/^graceclose_begin /graceclose_step /' \
	    -e 's/^graceclose_end /graceclose_step /' \
	    -e 's/^graceclose_reaper_[a-z]* /graceclose_reaper /' \
	    -e 's/^libc /graceclose_reaper /' | sort -u
}

# .It Fn function, then .Xr call 2 , Xr call 2
awk '/^\.S[hs] / { on = $2 == "SYSTEM" }
    on && $1 == ".It" && $2 == "Fn" { fn = $3 }
    on && $1 == ".El" { on = 0 }
    on && $1 == ".Xr" && fn != "" {
	for (i = 1; i < NF; i++)
		if ($i == ".Xr" || $i == "Xr")
			print fn, $(i + 1)
    }' "$page" | group >"$dir/page"
"$suite" table | awk -F: '{ n = split($2, call, " ")
    for (i = 1; i <= n; i++) print $1, call[i] }' | group >"$dir/tested"

status=0
if [ ! -s "$dir/page" ] || [ ! -s "$dir/tested" ]; then
	echo "$page: no table was found"
	status=1
fi
if ! diff "$dir/tested" "$dir/page" >"$dir/diff"; then
	echo "$page, SYSTEM CALLS (>), is not what check_sandbox tests (<):"
	grep '^[<>]' "$dir/diff"
	status=1
fi
exit $status
