# plot.gp - the two figures of `make bench': gnuplot -e "from='DIR'; to='DIR'"
#
# It reads mass_close.dat and early_reply.dat, and writes the same names with
# .svg.
ours(name) = strstrt("graceful_close linger_close begin, step, end reaper \
reaper with done", name) > 0
mass = from . '/mass_close.dat'
early = from . '/early_reply.dat'

set terminal svg size 760,460 font 'sans-serif,13' background 'white'
set border 3 lc rgb '#777777'
set tics nomirror textcolor rgb '#333333'
set grid ytics lc rgb '#dddddd'

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
stats mass using 1 nooutput
array name[STATS_blocks]
do for [i=1:STATS_blocks] {
	name[i] = system(sprintf("awk -v RS= 'NR == %d { sub(/\\n.*/, \"\"); gsub(/\"/, \"\"); print }' '%s'", i, mass))
}
plot for [i=1:STATS_blocks] mass index i - 1 using 1:2 skip 1 \
    with linespoints lw (ours(name[i]) ? 3 : 1.5) \
    dt (ours(name[i]) ? 1 : 3) pt (ours(name[i]) ? 7 : 6) ps 0.6 \
    title name[i]

set output to . '/early_reply.svg'
set title 'Early reply to clients that upload: lost replies, CPU of the server' \
    font ',15'
set xlabel 'microseconds of CPU a request'
set ylabel 'replies lost, percent'
unset logscale y
set xrange [20:10000]
set xtics (25, 50, 100, 250, 500, 1000, 2500, 5000)
set yrange [-5:150]
set ytics 0,25,100
unset key
plot early using ($2):(ours(stringcolumn(1)) ? $3 : NaN) \
    with points pt 7 ps 0.9 lc rgb '#0a7d32', \
    early using ($2):(ours(stringcolumn(1)) ? NaN : $3) \
    with points pt 6 ps 0.9 lc rgb '#b03020', \
    early using 2:($3 + 3):1 with labels rotate by 60 left font ',11'
