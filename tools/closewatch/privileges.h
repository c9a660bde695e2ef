/*
 * privileges.h - opening a capture takes privileges, reading packets takes none
 */
#ifndef PRIVILEGES_H
#define PRIVILEGES_H

#include <sys/types.h>

#include <stdbool.h>

/* Whom a process of root becomes. */
struct privileges_user {
	const char	*name;
	uid_t		 uid;
	gid_t		 gid;
	bool		 chosen;	/* by --user */
};

/*
 * The user of that name; NULL: nobody.  False: there is no such user, or it is
 * root, and *why is a line that says which.
 */
bool	privileges_user(struct privileges_user *user, const char *name,
	    const char **why);

/*
 * Give up every privilege for good: root becomes that user, all capabilities
 * go, and execve(2) gives none back (PR_SET_NO_NEW_PRIVS).  False: at least
 * one is left; *why says which, errno says why.
 *
 * The process must have a single thread.
 */
bool	privileges_drop(const struct privileges_user *user, const char **why);

/*
 * The same, save for the right to see which sockets any process has, where it
 * was there: CAP_SYS_PTRACE, and CAP_DAC_READ_SEARCH for its folder in /proc.
 * Both are as good as root to who can make the process do more than look.
 */
bool	privileges_keep_looking(const struct privileges_user *user,
	    const char **why);

#endif /* PRIVILEGES_H */
