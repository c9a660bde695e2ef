/*
 * tap.h - what --wire, --ascii and --pcap ask of an example: the segments of a
 * scene among its steps, and after it the ladder of each connection
 *
 * Without the right to capture, or without libpcap, one line says so and the
 * example goes on; every call here does nothing then.
 */
#ifndef TAP_H
#define TAP_H

#include "stage/ends.h"

enum { TAP_WIRE = 256, TAP_ASCII, TAP_PCAP, TAP_SVG };	/* no letter has these */

#define TAP_OPTIONS							\
	{ "wire", no_argument, NULL, TAP_WIRE },			\
	{ "ascii", no_argument, NULL, TAP_ASCII },			\
	{ "pcap", required_argument, NULL, TAP_PCAP }

/* Of the examples that make a picture: see picture.h. */
#define TAP_SVG_OPTION	{ "svg", required_argument, NULL, TAP_SVG }

#define TAP_SYNOPSIS	"[--wire [--ascii]] [--pcap file]"
#define TAP_USAGE							\
	"  --wire        show each segment, and the ladder they make\n"	\
	"  --ascii       draw it in ASCII, as in a locale without UTF-8\n" \
	"  --pcap file   write them, for tcpdump -r and Wireshark\n"	\
	"Capturing on lo takes root or CAP_NET_RAW.  Colour is for "	\
	"terminals without NO_COLOR.\n"

/* Whether it is one of them: then it is dealt with. */
bool	tap_option(int option, const char *arg);

/* If an option asked for it.  Without a capture --svg ends with exit(1). */
void	tap_open(void);
void	tap_close(void);

/* Of the scene that is on: a connection of it; its end, in print. */
void	tap_connection(const struct ends *ends);
void	tap_scene_end(void);

#endif /* TAP_H */
