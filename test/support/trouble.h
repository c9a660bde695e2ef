/*
 * trouble.h - lost segments, resets, a peer that vanishes, SO_LINGER
 */
#ifndef TEST_TROUBLE_H
#define TEST_TROUBLE_H

#define T_DROP_ALL	0x100	/* every segment */
#define T_DROP_DATA	0x200	/* segments with payload */
#define T_DROP_ACK	0x400	/* pure ACKs: no payload, SYN, FIN, RST */
#define T_DROP_FIN	0x01	/* segments with this flag */
#define T_DROP_RST	0x04

void		 t_drop(int, int);		/* on the receiving socket */
void		 t_heal(int);			/* ends t_drop */
void		 t_reset(int);			/* RST, and close */
void		 t_vanish(int);			/* close; no FIN, no RST */
void		 t_linger(int, int);		/* SO_LINGER {1, s} */
void		 t_nonblock(int);

#endif /* TEST_TROUBLE_H */
