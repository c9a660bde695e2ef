#!/bin/sh
# run.sh KERNEL SUITE... - run suites on another kernel, in a virtual machine
#
# KERNEL is a row of kernel.sh.  A suite is a name of one, such as check_probe,
# or the path of any program.  The guest has a processor for each of CPUS [2],
# MEM of memory [2G], and TIME seconds [1800].  JOBS suites run at once there
# [4], with PATIENCE [8] times the patience: an emulated processor is slow.
#
# The guest's test/run.sh counts, and its last line is the last one here.  What
# cannot be had (qemu, busybox, the kernel's package) is a SKIP: status 77, and
# the reason in build/guest/KERNEL/skipped.
set -u
here=$(dirname "$0")
: "${BUILD:=build}" "${CPUS:=2}" "${MEM:=2G}" "${TIME:=1800}"
kernel=$1
shift
dir=$BUILD/guest/$kernel
logs=$dir/logs
mkdir -p "$logs" || exit 1
rm -f "$dir/skipped"

skip() {
	echo "SKIP guest $kernel: $*" | tee "$dir/skipped"
	exit 77
}

[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] ||
    skip "not Debian on amd64"
# Programs of Debian live in /usr/sbin, too, where a user does not look.
PATH=$PATH:/usr/sbin:/sbin
for tool in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static \
    cpio:cpio depmod:kmod; do
	command -v "${tool%:*}" >/dev/null ||
	    skip "no ${tool%:*}: apt-get install ${tool#*:}"
done
if ldd "$(command -v busybox)" >/dev/null 2>&1; then
	skip "busybox is not static: apt-get install busybox-static"
fi

"$here/kernel.sh" "$kernel" "$dir" || exit
"$here/root.sh" "$dir" "$@" || exit 1

# The kernel's messages go to the first port, the suites' output to the second.
echo "guest: Linux $(cat "$dir/release"), $CPUS processors, $# suites"
timeout -s KILL "$TIME" qemu-system-x86_64 -M q35 -accel tcg,thread=multi \
    -cpu max -smp "$CPUS" -m "$MEM" -nodefaults -no-reboot -display none \
    -serial "file:$logs/console" -serial stdio \
    -kernel "$dir/vmlinuz" -initrd "$dir/initrd" \
    -append "console=ttyS0 quiet panic=-1 oops=panic no_timer_check \
mitigations=off" </dev/null 2>"$logs/qemu" | tee "$logs/suites"
grep -a -E 'BUG:|WARNING:|Oops|Kernel panic' "$logs/console" | head -n 20

# No last line: the guest has died, or was late.
last=$(tail -n 1 "$logs/suites")
case $last in
*' passed, '*' failed, '*' skipped')
	case $last in
	*' passed, 0 failed, '*)	exit 0 ;;
	esac
	exit 1
	;;
esac
tail -n 30 "$logs/console" "$logs/qemu"
echo "guest $kernel: it ended without a result after at most $TIME s"
exit 1
