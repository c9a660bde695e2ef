#!/bin/sh
# mandoc has nothing to say against the pages, and their examples compile.
cc=${CC:-cc}
command -v mandoc >/dev/null || {
	echo "error: mandoc is missing: apt-get install mandoc"
	exit 1
}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
status=0

mandoc -T lint -W warning man/*.[37] || status=1
for page in man/*.3; do
	grep -q '^\.so ' "$page" && continue
	for section in NAME SYNOPSIS DESCRIPTION 'RETURN VALUES' EXAMPLES \
	    ERRORS 'SEE ALSO' STANDARDS HISTORY CAVEATS; do
		grep -qx "\.Sh $section" "$page" || {
			echo "$page has no section $section"
			status=1
		}
	done
done

test/page_examples.sh "$dir" man/*.[37] || status=1
set -- "$dir"/*.c
[ -f "$1" ] || { echo "no example was found in the pages"; exit 1; }
for c; do
	"$cc" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Iinclude \
	    -fsyntax-only "$c" || { echo "in ${c##*/}"; status=1; }
done
exit $status
