/*
 * kernel_layer.c - see kernel_layer.h; the functions of Linux that it follows
 * are named where they are not obvious
 */
#include <netinet/tcp.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fuzz/kernel.h"
#include "fuzz/kernel_call.h"
#include "fuzz/kernel_layer.h"

#define SOL_TLS			282
#define TLS_TX			1
#define TLS_SET_RECORD_TYPE	1
#define TLS_GET_RECORD_TYPE	2
#define RECORD_ALERT		21
#define RECORD_DATA		23

#define ALERT		2		/* bytes */
#define HEADER		5
#define RECORD		16384
#define WORK_US		10000		/* schedule_delayed_work(), at most */
#define TARDY_US	60000		/* its thread was not run before */

/*
 * Sending
 */

void
kernel_layer_draw(void)
{
	unsigned traits;

	if (kernel.layer != KERNEL_TLS)
		return;
	if (kernel_draw(2) && kernel.written > 0)
		kernel.above = kernel_draw_amount();
	traits = kernel_draw(8);
	kernel.tardy = (traits & 4) != 0;
	if ((traits & 3) == 3)
		kernel.open = kernel_draw_amount();
}

/* tls_err_abort(): on a connection that lives, or ends in order. */
static void
tear(void)
{
	kernel.torn = true;
	if (kernel.dead)
		return;
	kernel.error = EPIPE;
	kernel.icmp = false;
	kernel.edge = true;
}

/* tls_tx_records(): TCP takes what it has room for. */
void
kernel_layer_push(void)
{
	int64_t n = kernel.above;

	if (n == 0 || kernel.dead)
		return;
	kernel_trace("  layer: %lld bytes\n", (long long)n);
	if (kernel.shut & KERNEL_WR) {
		kernel.lost = kernel.above;
		kernel.above = 0;
		tear();
		return;
	}
	kernel.above = 0;
	kernel.written += n;
}

void
kernel_layer_drained(void)
{
	kernel.drained = kernel.now;
}

/* tls_write_space() leaves it to a kernel thread. */
void
kernel_layer_tick(void)
{
	if (kernel.acked == kernel.written &&
	    kernel.now - kernel.drained >= (kernel.tardy ? TARDY_US : WORK_US))
		kernel_layer_push();
}

/*
 * TCP takes nothing more behind a FIN.  The library has to wait for what is
 * above, though not for ever; it may ask in vain for what is open.
 */
void
kernel_layer_half_close(void)
{
	if (!kernel.watched || (kernel.shut & KERNEL_WR))
		return;
	kernel_must(kernel.above == 0 || kernel.tardy);
	kernel_must(kernel.open == 0 || kernel.unpushed);
}

/* tls_process_cmsg(), tls_handle_open_record(). */
int
kernel_tls_close_record(const struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	kernel_must(msg->msg_iovlen == 0 && c != NULL);
	kernel_must(c->cmsg_len == CMSG_LEN(1) && c->cmsg_level == SOL_TLS &&
	    c->cmsg_type == TLS_SET_RECORD_TYPE &&
	    *CMSG_DATA(c) == RECORD_DATA);
	if (kernel.layer != KERNEL_TLS || kernel.open == 0)
		return 0;
	if (kernel.shut & KERNEL_WR) {
		kernel.lost += kernel.open;	/* no promise, but told */
		kernel.open = 0;
		kernel.torn = true;
		return EPIPE;
	}
	kernel.above += kernel.open;
	kernel.open = 0;
	if (kernel.written == kernel.acked)
		kernel_layer_push();
	return 0;
}

/*
 * Receiving: data, with one alert among them, a record that is not all here;
 * and some of the data may have left TCP already.
 */

void
kernel_layer_input(int64_t n)
{
	switch (kernel_draw(4)) {
	case 3:
		if (kernel.layer == KERNEL_ULP)
			break;
		if (!kernel.alert)
			kernel.alert_at = kernel.unread;
		kernel.alert = true;
		break;
	case 2:
		kernel.partial = HEADER;
		return;
	}
	kernel.unread += n;
	kernel.partial = 0;
}

void
kernel_layer_read_some(void)
{
	kernel.inside = kernel.unread < RECORD ? kernel.unread : RECORD;
	if (kernel.alert && kernel.inside > kernel.alert_at)
		kernel.inside = kernel.alert_at;
}

int64_t
kernel_tcp_unread(void)
{
	return kernel.unread - kernel.inside + kernel.partial +
	    (kernel.alert ? ALERT : 0);
}

bool
kernel_readable(void)
{
	return kernel.unread > 0 || kernel.partial > 0 || kernel.alert;
}

uint8_t
kernel_pattern(int64_t position)
{
	return (uint8_t)((position >> 8) * 31 + position);
}

/* The two ends of it are enough to see what is missing, or comes twice. */
static void
copy(uint8_t *buf, size_t n)
{
	size_t i;

	kernel_must(buf != NULL);
	for (i = 0; i < n; i += i == KERNEL_ENDS && n > 2 * KERNEL_ENDS ?
	    n - 2 * KERNEL_ENDS : 1)
		buf[i] = kernel_pattern(kernel.position + (int64_t)i);
}

static void
consumed(int64_t n)
{
	kernel.discarded += n;
	kernel.consumed++;
	kernel.told = kernel.now;
	kernel.news = true;
}

static ssize_t
read_alert(void *buf, size_t size)
{
	size_t n = size < ALERT ? size : ALERT;

	kernel_must(buf != NULL);
	memset(buf, 1, n);
	kernel.alert = false;
	consumed((int64_t)n);
	return (ssize_t)n;
}

/* The rest of a record stays in the layer. */
static void
keep_inside(void)
{
	int64_t n = kernel.alert ? kernel.alert_at : kernel.unread;

	if (kernel.inside == 0 && n > 0)
		kernel.inside = n % RECORD;
}

static ssize_t
read_data(void *buf, size_t size, int flags)
{
	size_t n = (size_t)kernel.unread < size ? (size_t)kernel.unread : size;

	if (kernel.alert && n > (size_t)kernel.alert_at)
		n = (size_t)kernel.alert_at;
	if (!(flags & MSG_TRUNC))
		copy(buf, n);
	if (flags & MSG_PEEK)
		return (ssize_t)n;
	kernel.unread -= (int64_t)n;
	kernel.position += (int64_t)n;
	kernel.alert_at -= kernel.alert ? (int64_t)n : 0;
	kernel.inside -= kernel.inside < (int64_t)n ? kernel.inside :
	    (int64_t)n;
	if (kernel.layer != KERNEL_NO_LAYER)
		keep_inside();
	consumed((int64_t)n);
	return (ssize_t)n;
}

/* The caller has seen that recv failed, so what was unread may stay so. */
ssize_t
kernel_balk(int error)
{
	kernel.missed = true;
	kernel.balks++;
	if (kernel.balked < kernel.inside + kernel_tcp_unread())
		kernel.balked = kernel.inside + kernel_tcp_unread();
	return kernel_answer(error, 0);
}

/*
 * Without an address MSG_TRUNC is EFAULT in most layers; kTLS has begun to
 * decrypt by then.  It returns 0 in front of an alert where there is no room
 * for the type (tls_record_content_type()).
 */
ssize_t
kernel_read_input(void *buf, size_t size, int flags, bool control, bool *data)
{
	bool layer = kernel.layer != KERNEL_NO_LAYER;

	*data = true;
	if (kernel.garbled)
		return kernel_answer(EBADMSG, 0);
	if (kernel.stuck) {
		kernel.failures++;
		return kernel_balk(EFAULT);
	}
	if (buf == NULL && (layer || kernel.sockmap || kernel_is_local())) {
		kernel.garbled = layer;
		return kernel_answer(EFAULT, 0);
	}
	if (kernel.alert && kernel.alert_at == 0) {
		*data = false;
		return control ? read_alert(buf, size) : 0;
	}
	return read_data(buf, size, flags);
}

/*
 * What it is
 */

/* Plain TCP has none, and then the length that comes back is 0. */
int
kernel_get_ulp(char *name, socklen_t *len)
{
	const char *ulp = kernel.kind == KERNEL_FALLBACK ? "mptcp" :
	    kernel.layer == KERNEL_NO_LAYER ? "" :
	    kernel.layer == KERNEL_ULP ? "espintcp" : "tls";

	if (!kernel_is_tcp())
		return EOPNOTSUPP;
	kernel_must(*len >= 16);	/* TCP_ULP_NAME_MAX */
	*len = *ulp == '\0' ? 0 : 16;
	if (*len > 0)
		(void)snprintf(name, *len, "%s", ulp);
	return 0;
}

/* do_tls_getsockopt_conf() */
int
kernel_get_tls(int name)
{
	kernel_must(name == TLS_TX);
	switch (kernel.layer) {
	case KERNEL_TLS:
		return 0;
	case KERNEL_TLS_RX:
		return EBUSY;
	}
	return ENOPROTOOPT;
}
