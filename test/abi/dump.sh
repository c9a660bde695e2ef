#!/bin/sh
# dump.sh - the ABI of a built library, as text for abidiff
#
# usage: test/abi/dump.sh LIBRARY.so OUTPUT.abi
#
# The library has debugging information, and include/ its header.  The same
# library gives the same text: no path, no line and no processor is in it.
[ $# = 2 ] || { echo "usage: $0 LIBRARY.so OUTPUT.abi" >&2; exit 2; }
command -v abidw >/dev/null || {
	echo 'error: abidw is missing: apt-get install abigail-tools' >&2
	exit 1
}
exec abidw --no-corpus-path --no-comp-dir-path --no-show-locs \
    --no-architecture --no-elf-needed --no-parameter-names \
    --exported-interfaces-only --drop-private-types --headers-dir include \
    --type-id-style hash --out-file "$2" "$1"
