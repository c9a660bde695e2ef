/*
 * trouble.c - lost segments, resets, a peer that vanishes, SO_LINGER
 */
#include <sys/socket.h>

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "support/pairs.h"
#include "support/trouble.h"

void
t_linger(int fd, int seconds)
{
	struct linger l;

	l.l_onoff = 1;
	l.l_linger = seconds;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

void
t_reset(int fd)
{
	t_linger(fd, 0);
	close(fd);
}

void
t_vanish(int fd)
{
	int on;

	on = 1;
	ck_assert_msg(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on,
	    sizeof(on)) == 0, "TCP_REPAIR: %s", strerror(errno));
	t_close(fd);
}

/*
 * A filter sees a segment from its TCP header on, on the receiving side.
 * There is payload when the segment is longer than its header says.
 */
#define KEEP	0xffffffffU
#define DROP	0U

static void
attach(int fd, struct sock_filter *code, size_t n)
{
	struct sock_fprog prog;

	prog.filter = code;
	prog.len = (unsigned short)n;
	ck_assert_msg(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
	    sizeof(prog)) == 0, "SO_ATTACH_FILTER: %s", strerror(errno));
}

void
t_drop(int fd, int what)
{
	unsigned flags = (unsigned)what & 0x3f;
	unsigned all = what & T_DROP_ALL ? DROP : KEEP;
	unsigned data = what & T_DROP_DATA ? DROP : all;
	unsigned ack = what & T_DROP_ACK ? DROP : all;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, 11, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 12),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, data),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x07, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, ack),
		BPF_STMT(BPF_RET | BPF_K, all),
		BPF_STMT(BPF_RET | BPF_K, DROP)
	};

	attach(fd, code, sizeof(code) / sizeof(code[0]));
}

void
t_heal(int fd)
{
	int none;

	none = 0;
	setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none));
}

void
t_nonblock(int fd)
{
	int fl;

	fl = fcntl(fd, F_GETFL);
	ck_assert_int_eq(fcntl(fd, F_SETFL, fl | O_NONBLOCK), 0);
}
