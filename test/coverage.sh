#!/bin/sh
# coverage.sh BUILD - what of lib/ the suites have run, as gcov(1) counted it
#
# A table of the files; then each line that never ran and each that has a branch
# never taken, with the reason that coverage.txt gives for it.  What only the
# scripted kernel of fuzz/ has run counts, and is listed: such as kTLS, where
# the kernel of this machine has none.
set -eu
LINES=98 BRANCHES=95 REASONS=test/coverage.txt
SCRIPTED=obj/test/fuzz/check_corpus.gcda

usage() {
	cat <<END
usage: $0 BUILD
The coverage of lib/ in a BUILD that was made with --coverage and has run;
'make coverage' does it all.  GCOV names another gcov(1).
Fails below $LINES % of the lines or $BRANCHES % of the branches, where a line
that never ran has no reason in $REASONS, and where a reason
there is of a line that is no longer.
END
}

case ${1-} in
-h | --help)
	usage
	exit 0 ;;
esac
if [ $# -ne 1 ]; then
	usage >&2
	exit 2
fi
if ! command -v "${GCOV:=gcov}" >/dev/null; then
	echo "error: $GCOV is missing: it comes with gcc" >&2
	exit 1
fi
counts=$(find "$1/static" -name '*.gcda' 2>/dev/null)
if [ -z "$counts" ]; then
	echo "error: nothing in $1 has run with --coverage" >&2
	exit 1
fi

# What gcov says of a header it says for each object: here it is added up.
# shellcheck disable=SC2086 # one word for each file
{
	"$GCOV" -bct $counts
	echo 'scripted kernel'
	"$GCOV" -bct "$1/$SCRIPTED"
} | awk -v reasons=$REASONS \
    -v need_lines=$LINES -v need_branches=$BRANCHES '
function percent(a, b) {
	return b == 0 ? "" : sprintf("%5.1f %%", 100 * a / b)
}

function row(name, l, ln, b, bn) {
	printf("%-24s%6d of %4d  %7s%8d of %4d  %s\n", name, l, ln,
	    percent(l, ln), b, bn, percent(b, bn))
}

function complain(what) {
	print "error: " what
	bad = 1
}

# Whether reason k is of line i.
function is_for(k, i) {
	return of[k] == file_of[i] && index(said[i], piece[k]) > 0
}

function reason_for(i,   k) {
	for (k = 1; k <= given; k++)
		if (is_for(k, i))
			return why[k]
	return "???"
}

# A line with its reason; how many had none.
function tell(i,   r) {
	r = reason_for(i)
	print substr(place[i] ": " text_of[i], 1, 79)
	print "        " r
	return r == "???"
}

function remember(text) {
	sub(/^[ \t]+/, "", text)
	place[++n] = where
	file_of[n] = file
	text_of[n] = text
	said[n] = fn ": " text
	lines[file]++
	ran[where] = 0
}

BEGIN {
	while ((getline entry <reasons) > 0)
		if (entry ~ /^lib\// && split(entry, part, /\t+/) == 3) {
			of[++given] = part[1]
			piece[given] = part[2]
			why[given] = part[3]
		}
}

$0 == "scripted kernel" {
	scripted = 1
}

/^ *-: *0:Source:/ {
	file = $0
	sub(/.*Source:/, "", file)
	ours = file ~ /^lib\//
	if (ours && !(file in lines)) {
		order[++files] = file
		lines[file] = branches[file] = 0
	}
	next
}

ours && /^function / {
	fn = $2
}

ours && /^ *[^ ]+: *[1-9][0-9]*:/ && $1 !~ /^-/ {
	split($0, part, ":")
	where = file ":" part[2] + 0
	if (!(where in ran))
		remember(substr($0, length(part[1] part[2]) + 3))
	ran[where] += part[1] + 0
	if (!scripted)
		real[where] += part[1] + 0
	way = 0
}

ours && /^branch / {
	if (way >= ways[where]) {
		ways[where]++
		branches[file]++
	}
	taken[where, way++] += $3 == "taken" ? $4 : 0
}

END {
	for (i = 1; i <= n; i++) {
		file = file_of[i]
		l[file] += ran[place[i]] > 0
		all_lines++
		all_l += ran[place[i]] > 0
		for (way = 0; way < ways[place[i]]; way++) {
			gone = taken[place[i], way] > 0
			b[file] += gone
			all_branches++
			all_b += gone
			missed[i] += !gone
		}
	}
	printf("%-24s%22s%25s\n", "", "lines", "branches")
	for (k = 1; k <= files; k++) {
		file = order[k]
		row(file, l[file], lines[file], b[file], branches[file])
	}
	row("all", all_l, all_lines, all_b, all_branches)
	print "\nLines that only the scripted kernel ran:"
	for (i = 1; i <= n; i++)
		if (ran[place[i]] > 0 && real[place[i]] == 0)
			print substr(place[i] ": " text_of[i], 1, 79)
	if (all_l < all_lines)
		print "\nLines that never ran:"
	for (i = 1; i <= n; i++)
		if (ran[place[i]] == 0)
			unexplained += tell(i)
	print "\nLines with a branch never taken:"
	for (i = 1; i <= n; i++)
		if (ran[place[i]] > 0 && missed[i] > 0)
			tell(i)
	print ""
	if (100 * all_l < need_lines * all_lines)
		complain("less than " need_lines " % of the lines")
	if (100 * all_b < need_branches * all_branches)
		complain("less than " need_branches " % of the branches")
	if (unexplained > 0)
		complain(unexplained " lines that never ran have no reason")
	for (k = 1; k <= given; k++) {
		for (i = 1; i <= n && !is_for(k, i); i++)
			;
		if (i > n)
			complain("a reason for what is not there: " of[k] \
			    ": " piece[k])
	}
	exit bad
}'
