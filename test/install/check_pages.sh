#!/bin/sh
# mandoc has nothing to say against the pages, they are of this version, lead
# to pages that exist, and their examples compile.
cc=${CC:-cc}
command -v mandoc >/dev/null || {
	echo "error: mandoc is missing: apt-get install mandoc"
	exit 1
}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
status=0

mandoc -T lint -W warning man/*.[1378] || status=1

# usage: has_sections page section ...
has_sections() {
	page=$1
	shift
	for section; do
		grep -qx "\.Sh $section" "$page" || {
			echo "$page has no section $section"
			status=1
		}
	done
}

for page in man/*.3; do
	grep -q '^\.so ' "$page" && continue
	has_sections "$page" NAME SYNOPSIS DESCRIPTION 'RETURN VALUES' \
	    EXAMPLES ERRORS 'SEE ALSO' STANDARDS HISTORY CAVEATS
done
for page in man/*.[18]; do
	has_sections "$page" NAME SYNOPSIS DESCRIPTION 'EXIT STATUS' \
	    EXAMPLES 'SEE ALSO' STANDARDS HISTORY CAVEATS
done
has_sections man/graceclose.7 NAME DESCRIPTION 'WHEN DISCARDING IS HARM' \
    SERVERS 'LAYERS ABOVE TCP' 'SYSTEM CALLS' EXAMPLES 'SEE ALSO' \
    STANDARDS HISTORY CAVEATS
has_sections man/graceclose_faq.7 NAME DESCRIPTION 'THE VERDICT' \
    'WHICH CALL' 'EVENT LOOPS' TLS 'PROCESSES AND THREADS' \
    'COSTS AND TOOLS' 'SEE ALSO'
grep '^\.Ss ' man/graceclose_faq.7 | grep -v '?$' && {
	echo "man/graceclose_faq.7: that is no question"
	status=1
}

# The table for sandboxes has every function that makes a system call.
awk '$1 == ".Sh" { table = $2 == "SYSTEM" } table && $1 == ".It" { fn = $3 }
    table && fn != "" && $1 == ".Xr" && $3 == 2 { print fn; fn = "" }
    table && $1 == ".El" { exit }' man/graceclose.7 | sort >"$dir/table"
cat man/*.3 | awk '$1 == ".Sh" { synopsis = $2 == "SYNOPSIS" }
    synopsis && ($1 == ".Fn" || $1 == ".Fo") { print $2 }' | sort -u |
    grep -vxE 'graceclose_(events|timeout|version)' |
    diff "$dir/table" - || {
	echo "SYSTEM CALLS (<) and the functions (>) differ"
	status=1
}

version=$(sed -n 's/^VERSION[[:space:]]*= *//p' Makefile)
[ "$(sed -n '1s/ .*//p' CHANGES)" = "$version" ] || {
	echo "CHANGES does not begin with $version"
	status=1
}
for page in man/*.[1378]; do
	grep -qxF ".Os \"libgraceclose $version\"" "$page" || {
		echo "$page is no page, or not of $version"
		status=1
	}
done
grep -hoE '(^\.| )Xr ([a-z_]*close[a-z_]*|replycheck) [1378]' man/*.[1378] |
    sed 's/.*Xr //; s/ /./' | sort -u | while read -r page; do
	[ -f "man/$page" ] || { echo "there is no man/$page"; exit 1; }
done || status=1
for page in man/*.[1378]; do
	sed -nE 's/^(\..* |\.)Sx (.*[A-Za-z])[ .,;:)]*$/\2/p' "$page" |
	    while read -r section; do
		grep -qxE "\.S[hs] $section" "$page" || {
			echo "$page has no section $section to lead to"
			exit 1
		}
	done || status=1
done

"$(dirname "$0")"/page_examples.sh "$dir" man/*.[37] || status=1
set -- "$dir"/*.c
[ -f "$1" ] || { echo "no example was found in the pages"; exit 1; }
for c; do
	"$cc" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Iinclude \
	    -fsyntax-only "$c" || { echo "in ${c##*/}"; status=1; }
done
exit $status
