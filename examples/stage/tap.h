/*
 * tap.h - the options --wire, --ascii and --pcap of examples: the segments of
 * a scene among its steps, and after it the ladder of each connection
 *
 * Without libpcap or the right to capture, one line says so.  The example goes
 * on, and the functions here do nothing.
 */
#ifndef TAP_H
#define TAP_H

#include "stage/ends.h"

/* No option letter has these values. */
enum { TAP_WIRE = 256, TAP_ASCII, TAP_PCAP, TAP_SVG };

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

/* Whether the option is one of these; if so, it is taken. */
bool	tap_option(int option, const char *arg);

/* If an option asked for it.  Without a capture --svg ends with exit(1). */
void	tap_open(void);
void	tap_close(void);

/* In a scene: show the segments of this connection; end the scene. */
void	tap_connection(const struct ends *ends);
void	tap_scene_end(void);

#endif /* TAP_H */
