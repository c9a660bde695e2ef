/*
 * closewatch - which TCP connections ended, how, and what was lost
 *
 * closewatch(8) describes the options and the output.  The program opens the
 * capture, gives up its privileges, and only then reads the first packet.
 *
 * Modules, from the packet to the line of text: packets (libpcap), follow (a
 * file that grows), segment (one TCP header), flow (one connection), conns (all
 * of them), owner (whose they are), holder (the sockets of a process), diag
 * (those of the kernel), tally (the summary), text and json (the output),
 * chosen and svg (the picture), monitor (what happens when).
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "closewatch/monitor.h"
#include "closewatch/option.h"
#include "closewatch/privileges.h"

#define MAX_DEFAULT	10000
#define MAX_LIMIT	1000000
#define SECONDS_LIMIT	(366 * 24 * 3600)

static struct monitor_options options = { .max = MAX_DEFAULT };
static struct holder_who who;
static const char *user_name, *svg_file;

static _Noreturn void
usage(FILE *out, int status)
{
	fprintf(out,
	    "usage: %s [-i interface | -r file.pcap] [options] [--help]\n"
	    "Prints a line for each TCP connection that ended; see "
	    "closewatch(8).\n"
	    "  -i interface   capture there; without -i and -r: on \"any\", "
	    "all of them\n"
	    "  -r file        read a capture that tcpdump -w made; -: "
	    "standard input\n"
	    "  --follow       with -r: wait for more at the end of the file, "
	    "as tcpdump -U writes it\n"
	    "  --idle n       with --follow: end where the file did not grow "
	    "for n seconds\n"
	    "  --port n       only connections from or to this port\n"
	    "  --pid n        only connections of this process\n"
	    "  --comm name    only connections of the processes with this "
	    "name\n"
	    "  --seconds n    end after n seconds, without a signal\n"
	    "  --every n      print a summary every n seconds, not only at "
	    "the end\n"
	    "  --max n        remember n connections at once (%d)\n"
	    "  --json         print a JSON object a line\n"
	    "  --svg file     draw a connection as SVG: the first that lost "
	    "data or was reset,\n"
	    "                 else the first that ended\n"
	    "  --user name    root becomes this user once the capture is open "
	    "(nobody)\n", program_invocation_short_name, options.max);
	exit(status);
}

static void
take_option(int c)
{
	switch (c) {
	case 'i':
		options.interface = optarg;
		break;
	case 'r':
		options.file = optarg;
		break;
	case 'f':
		options.follow = true;
		break;
	case 'd':
		options.idle = option_number("--idle", optarg, 1,
		    SECONDS_LIMIT);
		break;
	case 'p':
		options.port = option_number("--port", optarg, 1, 65535);
		break;
	case 'P':
		who.pid = option_number("--pid", optarg, 1, INT_MAX);
		break;
	case 'c':
		who.comm = optarg;
		break;
	case 's':
		options.seconds = option_number("--seconds", optarg, 1,
		    SECONDS_LIMIT);
		break;
	case 'e':
		options.every = option_number("--every", optarg, 1,
		    SECONDS_LIMIT);
		break;
	case 'm':
		options.max = option_number("--max", optarg, 1, MAX_LIMIT);
		break;
	case 'j':
		options.json = true;
		break;
	case 'S':
		svg_file = optarg;
		break;
	case 'u':
		user_name = optarg;
		break;
	case 'h':
		usage(stdout, 0);
	default:
		exit(2);		/* getopt_long said why */
	}
}

static void
check_follow(void)
{
	if (options.idle > 0 && !options.follow)
		errx(2, "--idle: give --follow, too");
	if (!options.follow)
		return;
	if (options.file == NULL)
		errx(2, "--follow: give -r and the file, too");
	if (strcmp(options.file, "-") == 0)
		errx(2, "--follow: -r - waits for more anyway");
}

static void
check_who(void)
{
	if (who.pid == 0 && who.comm == NULL)
		return;
	if (who.pid != 0 && who.comm != NULL)
		errx(2, "give --pid or --comm, not both");
	if (who.comm != NULL && *who.comm == '\0')
		errx(2, "--comm: the name is empty");
	if (options.file != NULL)
		errx(2, "%s: a file does not say whose a connection was, and "
		    "the kernel has forgotten it", who.pid != 0 ? "--pid" :
		    "--comm");
}

static void
parse_options(int argc, char *argv[])
{
	static const struct option names[] = {
		{ "follow", no_argument, NULL, 'f' },
		{ "idle", required_argument, NULL, 'd' },
		{ "port", required_argument, NULL, 'p' },
		{ "pid", required_argument, NULL, 'P' },
		{ "comm", required_argument, NULL, 'c' },
		{ "seconds", required_argument, NULL, 's' },
		{ "every", required_argument, NULL, 'e' },
		{ "max", required_argument, NULL, 'm' },
		{ "json", no_argument, NULL, 'j' },
		{ "svg", required_argument, NULL, 'S' },
		{ "user", required_argument, NULL, 'u' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "i:r:", names, NULL)) != -1)
		take_option(c);
	if (optind < argc)
		errx(2, "unexpected argument: %s", argv[optind]);
	if (options.interface != NULL && options.file != NULL)
		errx(2, "give -i or -r, not both");
	check_follow();
	check_who();
	if (options.interface == NULL && options.file == NULL)
		options.interface = "any";
}

static void
open_owner(const struct privileges_user *user)
{
	const char *why;

	if (who.pid == 0 && who.comm == NULL)
		return;
	if ((options.owner = owner_open(&who, user, &why)) != NULL)
		return;
	if (who.pid != 0)
		errx(1, "--pid %ld: %s", (long)who.pid, why);
	errx(1, "--comm %s: %s", who.comm, why);
}

int
main(int argc, char *argv[])
{
	static struct monitor monitor;
	struct privileges_user user;
	const char *why;
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse_options(argc, argv);
	if (!privileges_user(&user, user_name, &why))
		errx(2, "--user %s: %s", user_name, why);
	open_owner(&user);
	if (!monitor_open(&monitor, &options, &why))
		errx(1, "%s: %s", options.file != NULL ? options.file :
		    options.interface, why);
	if (svg_file != NULL &&
	    (options.chosen = chosen_open(svg_file)) == NULL)
		err(1, "%s", svg_file);
	if (!privileges_drop(&user, &why))
		err(1, "user %s: %s", user.name, why);
	status = monitor_run(&monitor);
	if (options.owner != NULL)
		owner_close(options.owner);
	if (svg_file != NULL && chosen_save(options.chosen) == -1)
		err(1, "%s", svg_file);
	return status;
}
