/*
 * holder.h - which sockets a process has, or all processes of a name
 *
 * Only /proc/PID/fd tells that, and the kernel checks the right at each look:
 * a descriptor that was opened as root is of no use afterwards.  The reader of
 * packets must not keep that right: with CAP_SYS_PTRACE a mistake in it would
 * be one of root.  Nor may it become the user of the process, as it would then
 * have that user's files, and root's processes could not be asked for.
 *
 * So a child keeps the right, and nothing else (privileges.h).  It reads no
 * packet.  From the reader of packets it takes one byte, "look", and it answers
 * with the inode numbers of sockets.
 */
#ifndef HOLDER_H
#define HOLDER_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "closewatch/privileges.h"

struct holder_who {			/* one of the two */
	pid_t		 pid;
	const char	*comm;		/* all processes of that name */
};

#define HOLDER_COMM	15		/* characters that the kernel keeps */

struct holder;

/*
 * Starts the child, which becomes that user.  NULL: *why says in one line why.
 * Before the capture is open, which is none of the child's business.
 */
struct holder *holder_start(const struct holder_who *who,
	    const struct privileges_user *user, const char **why);
void	holder_end(struct holder *h);

/*
 * The inode numbers now, in order, valid until the next call, and of how many
 * processes they are.  -1 and errno: ESRCH: the process has ended; EACCES: no
 * right to look; EPIPE: the child has ended.
 */
struct holder_look {
	const uint32_t	*inodes;
	size_t		 n;
	unsigned	 processes;
};

int	holder_look(struct holder *h, struct holder_look *look);
bool	holder_holds(const struct holder_look *look, uint32_t inode);

#endif /* HOLDER_H */
