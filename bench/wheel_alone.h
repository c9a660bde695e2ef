/*
 * wheel_alone.h - the reaper's timer wheel and queue, without a kernel
 */
#ifndef BENCH_WHEEL_ALONE_H
#define BENCH_WHEEL_ALONE_H

/* Prints what each operation costs with up to a million closes. */
void	wheel_alone(int turns);

#endif /* BENCH_WHEEL_ALONE_H */
