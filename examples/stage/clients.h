/*
 * clients.h - the clients that a server meets: one polite, one that uploads on
 * while it is answered, one that resets, one that never says a word...
 *
 * Each asks by a line of text, and gets CLIENTS_REPLY bytes and the end of the
 * connection for an answer.
 */
#ifndef CLIENTS_H
#define CLIENTS_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>

#define CLIENTS_ASK	"a reply, please\n"
#define CLIENTS_REPLY	1048576	/* more than leaves at once */
#define CLIENTS_EACH	32	/* of one manner, at most */

enum manner {
	POLITE,				/* asks, reads to the end, closes */
	HALF_CLOSING,			/* says after the question: no more */
	UPLOADING,			/* sends 2 MB on before it reads */
	RESETTING,			/* asks, and is gone with an RST */
	SILENT,				/* asks nothing, closes on EOF */
	STAYING,			/* reads to the end, does not close */
	MANNERS
};

/*
 * So many more of a manner come to 127.0.0.1, each with a thread of its own.
 * They are connected on return.
 */
void	clients_come(in_port_t port, enum manner manner, int count);

/* Wait until those of that manner have got their replies. */
void	clients_replied(enum manner manner);

/* Wait until those of that manner, or all, have left. */
void	clients_left(enum manner manner);
void	clients_all_left(void);

/* How many of that manner got the whole reply. */
int	clients_whole(enum manner manner);

/* What they saw; then begin anew. */
void	clients_print(void);
void	clients_forget(void);

/* n of each come, leave, and are told of: the exit status of a client. */
int	clients_visit(in_port_t port, int count);

/* Where clients go: a listener on 127.0.0.1, and which port it has got. */
int	clients_listen(in_port_t *port);

#endif /* CLIENTS_H */
