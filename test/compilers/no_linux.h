/*
 * no_linux.h - takes away what the BSDs and macOS do not have
 *
 * The compiler includes it before each file of lib/ (-include).  It includes
 * every header that the library may need there, so that their guards keep them
 * out later; then no macro of Linux is left, and the name of a function that
 * one of those systems lacks is an error.
 */
/* glibc has these in enums, too, which #undef would not take away. */
#define MSG_NOSIGNAL	taken_MSG_NOSIGNAL
#define MSG_CMSG_CLOEXEC taken_MSG_CMSG_CLOEXEC
#define MSG_MORE	taken_MSG_MORE
#define MSG_ERRQUEUE	taken_MSG_ERRQUEUE
#define MSG_ZEROCOPY	taken_MSG_ZEROCOPY
#define MSG_FASTOPEN	taken_MSG_FASTOPEN
#define SOCK_CLOEXEC	taken_SOCK_CLOEXEC
#define SOCK_NONBLOCK	taken_SOCK_NONBLOCK

#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A header that only Linux has would bring its macros back. */
#define _SYS_EPOLL_H	1
#define _SYS_EVENTFD_H	1

/* sys/socket.h: macOS has none of the first four. */
#undef MSG_NOSIGNAL
#undef SOCK_CLOEXEC
#undef SOCK_NONBLOCK
#undef MSG_CMSG_CLOEXEC
#undef SO_PROTOCOL
#undef SO_DOMAIN
#undef SO_PEERCRED
#undef MSG_MORE
#undef MSG_ERRQUEUE
#undef MSG_ZEROCOPY
#undef MSG_FASTOPEN
#undef AF_NETLINK
#undef AF_PACKET

/* netinet: the options of TCP, and its states. */
#undef IPPROTO_MPTCP
#undef IP_RECVERR
#undef TCP_INFO
#undef TCP_ULP
#undef TCP_ZEROCOPY_RECEIVE
#undef TCP_USER_TIMEOUT
#undef TCP_QUICKACK
#undef TCP_CORK

#undef POLLRDHUP
#undef POLLMSG
#undef TIOCOUTQ
#undef SIOCOUTQ
#undef MADV_WIPEONFORK
#undef MAP_ANONYMOUS
#undef CLOCK_BOOTTIME
#undef CLOCK_MONOTONIC_COARSE
#undef CLOCK_MONOTONIC_RAW
#undef ENOTUNIQ
#undef EREMOTEIO

/* They say that they lack this option of POSIX.1-2001. */
#undef _POSIX_CLOCK_SELECTION
#define _POSIX_CLOCK_SELECTION	(-1)

#undef __linux__
#undef __linux
#undef linux
#undef __gnu_linux__

#pragma GCC poison pthread_condattr_setclock pthread_setname_np
#pragma GCC poison pthread_cond_clockwait clock_nanosleep
#pragma GCC poison pipe2 accept4 dup3 ppoll gettid getrandom
#pragma GCC poison epoll_create1 epoll_ctl epoll_wait eventfd
#pragma GCC poison recvmmsg sendmmsg splice sendfile signalfd
#pragma GCC poison sem_timedwait pthread_mutex_timedlock
#pragma GCC poison secure_getenv reallocarray strchrnul explicit_bzero
