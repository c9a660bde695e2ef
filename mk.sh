cd $1; gcc -O2 -D_GNU_SOURCE -std=gnu11 -w -Iinclude -Ilib -static -o $2 $3 $(ls lib/*.c lib/kernel/common.c lib/kernel/linux*.c lib/reaper/*.c | grep -v posix) -pthread
