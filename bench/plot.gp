# plot.gp - the two figures of `make bench': gnuplot -e "from='DIR'; to='DIR'"
#
# It reads mass_close.dat and early_reply.dat, and writes the same names with
# .svg.
ours(name) = strstrt("|graceful_close|linger_close|begin, step, end|reaper|\
reaper with done|", '|' . name . '|') > 0
mass = from . '/mass_close.dat'
early = from . '/early_reply.dat'

set terminal svg size 760,460 noenhanced font 'sans-serif,13' background 'white'
set border 3 lc rgb '#777777'
set tics nomirror textcolor rgb '#333333'
set grid ytics lc rgb '#dddddd'

# A block a peer: its name, then a line for each number of closes.
stats mass using 1 nooutput
array name[STATS_blocks]
do for [i=1:STATS_blocks] {
	name[i] = system(sprintf("grep '\"' '%s' | sed -n '%d{s/\"//g;p}'", \
	    mass, i))
}

set output to . '/mass_close.svg'
set title 'CPU of the server, connections closed at once' font ',15'
set xlabel 'connections closed at once'
set ylabel 'microseconds of CPU a close'
set logscale xy
set xrange [900:21000]
set xtics (1000, 2000, 4000, 7000, 10000, 19000)
set ytics (5, 10, 20, 30, 40, 60, 80, 120)
set yrange [7:150]
set key outside right top samplen 2
plot for [i=1:STATS_blocks] mass index i - 1 using 1:2 skip 1 \
    with linespoints lw (ours(name[i]) ? 3 : 1.5) \
    pt (ours(name[i]) ? 7 : 6) ps 0.6 lc i title name[i]

set output to . '/early_reply.svg'
set title 'Early reply to clients that upload 1 MB: CPU of the server' font ',15'
set xlabel 'microseconds of CPU a request'
unset ylabel
unset logscale
set grid xtics lc rgb '#dddddd'
unset grid
set xrange [0:*]
set xtics autofreq
set yrange [*:*] reverse
set offsets graph 0, graph 0.22, 0.3, 0.3
unset key
set style fill solid noborder
colour(name, lost) = lost > 0 ? 0xc0504d : ours(name) ? 0x2e8b57 : 0x9aa5b1
said(cpu, lost) = lost > 0 ? sprintf('%.0f, lost %.0f %%', cpu, lost) : \
    sprintf('%.0f', cpu)
sorted = sprintf("< sort -n '%s'", early)
plot sorted using 1:0:(0):1:($0 - 0.35):($0 + 0.35): \
    (colour(stringcolumn(3), $2)):ytic(3) with boxxyerror lc rgb variable, \
    sorted using 1:0:(said($1, $2)) with labels left offset char 0.5, 0
