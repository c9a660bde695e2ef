/* privileges.c - see privileges.h */
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <linux/capability.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "closewatch/privileges.h"

#define NOBODY		65534		/* where no file names one */
#define CAP_WORDS	_LINUX_CAPABILITY_U32S_3

bool
privileges_user(struct privileges_user *user, const char *name,
    const char **why)
{
	const struct passwd *pw = getpwnam(name != NULL ? name : "nobody");

	*user = (struct privileges_user){ "nobody", NOBODY, NOBODY, false };
	if (pw != NULL && pw->pw_uid != 0) {
		user->uid = pw->pw_uid;
		user->gid = pw->pw_gid;
	}
	if (name == NULL)
		return true;
	user->name = name;
	user->chosen = true;
	*why = pw == NULL ? "no such user" : "it has the privileges to drop";
	return pw != NULL && pw->pw_uid != 0;
}

/* In order: without root there is no right to change groups. */
static bool
become(const struct privileges_user *user)
{
	return setresgid(user->gid, user->gid, user->gid) == 0 &&
	    setgroups(0, NULL) == 0 &&
	    setresuid(user->uid, user->uid, user->uid) == 0;
}

static bool
is_root(void)
{
	uid_t real = 0, effective = 0, saved = 0;

	getresuid(&real, &effective, &saved);
	return real == 0 || effective == 0 || saved == 0;
}

/*
 * EINVAL: this user namespace does not have the user (user_namespaces(7)), as
 * in `unshare -Ur`.  Its root is the user outside who made it, and has that
 * user's files, but no privileges except for the capabilities.
 */
static bool
leave_root(const struct privileges_user *user)
{
	if (!is_root()) {
		errno = EPERM;
		return !user->chosen;
	}
	return become(user) || (errno == EINVAL && !user->chosen);
}

/* glibc has no function for these two. */
static bool
get_capabilities(struct __user_cap_data_struct *caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};

	return syscall(SYS_capget, &header, caps) == 0;
}

/* Those of the first word, as far as they are there. */
static bool
keep_capabilities(uint32_t kept)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct caps[CAP_WORDS] = { { 0, 0, 0 } };
	struct __user_cap_data_struct some[CAP_WORDS] = { { 0, 0, 0 } };

	if (!get_capabilities(caps))
		return false;
	some[0].effective = some[0].permitted = caps[0].permitted & kept;
	return syscall(SYS_capset, &header, some) == 0;
}

static bool
has_capabilities(uint32_t kept)
{
	struct __user_cap_data_struct caps[CAP_WORDS] = { { 0, 0, 0 } };

	if (!get_capabilities(caps))
		return true;
	for (int i = 0; i < CAP_WORDS; i++, kept = 0)
		if (((caps[i].effective | caps[i].permitted) & ~kept) != 0 ||
		    caps[i].inheritable != 0)
			return true;
	return false;
}

/* Where the process is root no more, the kernel must refuse to undo that. */
static bool
may_come_back(uint32_t kept)
{
	return has_capabilities(kept) ||
	    (!is_root() && setresuid(0, 0, 0) == 0);
}

static bool
drop(const struct privileges_user *user, uint32_t kept, const char **why)
{
	if (!leave_root(user)) {
		*why = "cannot become the user";
		return false;
	}
	if (!keep_capabilities(kept)) {
		*why = "cannot drop the capabilities";
		return false;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == -1) {
		*why = "cannot set no_new_privs";
		return false;
	}
	if (may_come_back(kept)) {
		*why = "the kernel gives privileges back";
		errno = EPERM;
		return false;
	}
	return true;
}

bool
privileges_drop(const struct privileges_user *user, const char **why)
{
	return drop(user, 0, why);
}

/* Without PR_SET_KEEPCAPS they go with root. */
bool
privileges_keep_looking(const struct privileges_user *user, const char **why)
{
	uint32_t looking = 1u << CAP_SYS_PTRACE | 1u << CAP_DAC_READ_SEARCH;

	if (prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL) == -1) {
		*why = "cannot keep a capability";
		return false;
	}
	return drop(user, looking, why);
}
