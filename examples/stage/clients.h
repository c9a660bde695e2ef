/*
 * clients.h - clients of a server: polite ones, some that upload while the
 * server replies, some that reset, some that send nothing...
 *
 * A client sends a line of text.  The server replies with CLIENTS_REPLY bytes
 * and closes.
 */
#ifndef CLIENTS_H
#define CLIENTS_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>

#define CLIENTS_ASK	"a reply, please\n"
#define CLIENTS_REPLY	1048576	/* more than the send queue holds */
#define CLIENTS_EACH	32	/* of one manner, at most */

enum manner {
	POLITE,				/* asks, reads to the end, closes */
	HALF_CLOSING,			/* sends its FIN after the question */
	UPLOADING,			/* sends 2 MB more before it reads */
	RESETTING,			/* asks, then sends an RST */
	SILENT,				/* asks nothing, closes on EOF */
	STAYING,			/* reads to the end, does not close */
	MANNERS
};

/*
 * Connect so many more clients of a manner to 127.0.0.1, each with a thread of
 * its own.  On return they are connected.
 */
void	clients_come(in_port_t port, enum manner manner, int count);

/* Wait until those of that manner have got their replies. */
void	clients_replied(enum manner manner);

/* Wait until those of that manner, or all, have left. */
void	clients_left(enum manner manner);
void	clients_all_left(void);

/* How many of that manner got the whole reply. */
int	clients_whole(enum manner manner);

/* Print what they received; forget them all. */
void	clients_print(void);
void	clients_forget(void);

/* n of each manner come and leave; the result is printed: an exit status. */
int	clients_visit(in_port_t port, int count);

/* A listening socket on 127.0.0.1, and its port. */
int	clients_listen(in_port_t *port);

#endif /* CLIENTS_H */
