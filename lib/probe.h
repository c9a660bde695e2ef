/*
 * probe.h - what the looks share
 */
#ifndef GRACECLOSE_PROBE_H
#define GRACECLOSE_PROBE_H

/* The bits of graceclose_probe(), given what poll(2) reported; -1: errno. */
int	graceclose_probe_bits(int fd, short revents);

#endif /* GRACECLOSE_PROBE_H */
