/*
 * kernel_layer.h - what lies above TCP in kernel.h: kTLS, or a BPF sockmap
 */
#ifndef TEST_KERNEL_LAYER_H
#define TEST_KERNEL_LAYER_H

#include <sys/types.h>
#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void	kernel_layer_draw(void);	/* what waits in it at first */

/* What the layer does when there is room in TCP, when time passed, at once. */
void	kernel_layer_drained(void);
void	kernel_layer_tick(void);
void	kernel_layer_push(void);

void	kernel_layer_half_close(void);	/* of the library, or of the caller */
void	kernel_layer_input(int64_t n);	/* records come, of any kind */
void	kernel_layer_read_some(void);	/* the caller reads half a record */

/* What TCP itself holds unread; whether poll(2) says that there is input. */
int64_t	kernel_tcp_unread(void);
bool	kernel_readable(void);

#define KERNEL_ENDS	((size_t)16)

/* recv(2) and recvmsg(2); *data: and no alert.  Data follow a pattern. */
ssize_t	kernel_read_input(void *, size_t, int flags, bool control, bool *data);
ssize_t	kernel_balk(int error);		/* it fails */
uint8_t	kernel_pattern(int64_t position);

int	kernel_get_ulp(char *, socklen_t *);
int	kernel_get_tls(int name);

/* A record of a given type, with no byte, sends the one that is open. */
int	kernel_tls_close_record(const struct msghdr *);

#endif /* TEST_KERNEL_LAYER_H */
