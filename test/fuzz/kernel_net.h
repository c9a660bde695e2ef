/*
 * kernel_net.h - what becomes of the connection of kernel.h, whether the
 * network, its peer, another holder of the descriptor or a call brings it about
 */
#ifndef TEST_KERNEL_NET_H
#define TEST_KERNEL_NET_H

enum {
	KERNEL_NOTHING,
	KERNEL_ACK_SOME,
	KERNEL_ACK_ALL,			/* our FIN as well */
	KERNEL_INPUT,
	KERNEL_PEER_FIN,
	KERNEL_RST,
	KERNEL_GIVEN_UP,		/* by this host */
	KERNEL_NOTICE,			/* MSG_ZEROCOPY, a time stamp */
	KERNEL_ESTABLISHED,
	KERNEL_ACK_DATA,		/* all but our FIN */
	KERNEL_END,			/* both FINs, acknowledged */
	KERNEL_CUT,			/* by another holder */
	KERNEL_ICMP,			/* unreachable, for a moment */
	KERNEL_TIME,			/* passes; so all below KERNEL_EVENTS */
	KERNEL_PUSH = 15,		/* if a layer has something to push */
	KERNEL_EVENTS
};

void	kernel_happen(unsigned event);
void	kernel_pass_time(int64_t us);
void	kernel_end_it(void);		/* an end, of whatever it is */
void	kernel_send_fin(void);
void	kernel_disconnect(void);	/* connect(AF_UNSPEC) */

#endif /* TEST_KERNEL_NET_H */
