/*
 * wire_scenes.h - what a connection went through, and what its peer does
 */
#ifndef TEST_WIRE_SCENES_H
#define TEST_WIRE_SCENES_H

#include "support/pairs.h"

/* Before the close. */
void	 w_reply(struct t_pair *);
void	 w_left_linger_0(struct t_pair *);
void	 w_left_linger_5(struct t_pair *);
void	 w_unread(struct t_pair *);
void	 w_unread_left_linger_0(struct t_pair *);
void	 w_peer_closed_first(struct t_pair *);
void	 w_peer_closed_left_linger_0(struct t_pair *);
void	 w_unread_peer_closed(struct t_pair *);
void	 w_peer_fin(struct t_pair *);
void	 w_peer_reset(struct t_pair *);
void	 w_cut_off(struct t_pair *);
void	 w_cut_off_left_linger_5(struct t_pair *);
void	 w_cut_off_peer_fin(struct t_pair *);
void	 w_fin_lost(struct t_pair *);
void	 w_peer_fin_lost(struct t_pair *);
void	 w_full(struct t_pair *);
void	 w_full_left_linger_5(struct t_pair *);

/* In a thread of the peer, during the close: each closes its descriptor. */
void	 w_reads(int);
void	 w_uploads(int);
void	 w_hears_again(int);
void	 w_resets_after_eof(int);
void	 w_resets_later(int);
void	 w_closes_without_reading(int);

#endif /* TEST_WIRE_SCENES_H */
