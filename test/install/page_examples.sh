#!/bin/sh
#
# page_examples.sh - take the examples out of the manual pages
#
# usage: page_examples.sh outdir page ...
#
# Each .Bd -literal block of an EXAMPLES section becomes a translation unit,
# outdir/<page>-<n>.c, where n counts from 1, with the escapes of mdoc undone.
# A symbolic link is another name of a page and would only repeat it.  An
# unclosed block, a macro within a block, or no example at all is an error.
set -eu

if [ $# -lt 2 ]; then
	echo "usage: ${0##*/} outdir page ..." >&2
	exit 2
fi
out=$1
shift
for page; do
	shift
	[ -h "$page" ] || set -- "$@" "$page"
done
mkdir -p "$out"
export out

exec awk '
function fail(why)
{
	print FILENAME ":" FNR ": " why >"/dev/stderr"
	failed = 1
	exit 1
}

FNR == 1 {
	if (unit != "")
		fail("the page before ends within an example")
	page = FILENAME
	sub(".*/", "", page)
	n = examples = 0
}

/^\.Sh / {
	examples = $0 == ".Sh EXAMPLES"
}

/^\.Bd -literal/ && examples {
	unit = ENVIRON["out"] "/" page "-" ++n ".c"
	printf "" >unit
	total++
	next
}

/^\.Ed/ && unit != "" {
	close(unit)
	unit = ""
	next
}

unit != "" {
	if ($0 ~ /^[.\047]/)
		fail("a macro within an example")
	gsub(/\\&/, "")
	gsub(/\\e/, "\\")
	print >unit
}

END {
	if (!failed && unit != "")
		fail("ends within an example")
	if (!failed && total == 0)
		fail("no example at all")
	exit failed
}' "$@" </dev/null
