/*
 * close.pml - one close of lib/closer.c against one peer, whatever happens
 *
 * Every system call of the library is one step of the closer; between two of
 * them anything may happen that TCP, the network, the peer or the clock can
 * do.  Bytes are few (N of ours, M of the peer's), trouble is bounded (LOSSES
 * segments lost or sent twice), and the rest is exhaustive.  README tells what
 * is left out, run.sh what is checked, with these and with mistakes put in.
 *
 *	NO_LIMIT	timeout_ms and idle_ms are -1; then the peer ends
 *	EDGES		the wait is epoll's, not that of poll
 *	SHUT_RD		our program has used SHUT_RD before
 *	HOLDER		another process holds the descriptor, and meddles
 *	STORM		signals without end interrupt every wait
 *	REFUSED		a security module may refuse shutdown(2)
 *	LAYER		the last byte waits above TCP, in kTLS
 */
#ifndef N
#define N 1		/* bytes we wrote before the close */
#endif
#ifndef M
#define M 1		/* bytes the peer may write */
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef ROOM
#define ROOM 1		/* segments under way, in each direction */
#endif
#define FORGOTTEN 9	/* what SIOCOUTQ says after connect(AF_UNSPEC) */

mtype:state = { ESTABLISHED, CLOSE_WAIT, FIN_WAIT1, FIN_WAIT2, CLOSING,
    LAST_ACK, TIME_WAIT, CLOSED }
mtype:segment = { DATA, FIN, ACK, RST }
mtype:outcome = { OK, WAS_RESET, EXPIRED, FLOODED, ABORTED, INVALID }
mtype:got = { BYTE, EMPTY, END, ERROR, NOT_CONNECTED }

/* What the caller asks for is chosen where it makes a difference first. */
bool finished_too	/* until: FINISHED; DELIVERED else */
bool shut_rd		/* he has used SHUT_RD before */
#ifdef NO_LIMIT
#define limited false
#else
#define limited true
#endif
#ifdef EDGES
#define edges true
#else
#define edges false
#endif

/* What is pending: recv(2) or SO_ERROR take it.  PIPE is also the layer's. */
#define NO_ERROR	0
#define RESET		1	/* ECONNRESET */
#define PIPE		2	/* EPIPE */
#define GIVEN_UP	3	/* ETIMEDOUT, EHOSTUNREACH */

/* Our TCP.  The FIN is the last of what is sent, behind its bytes. */
mtype:state st = ESTABLISHED
#ifdef LAYER
byte down = N - 1	/* bytes that TCP has; the layer above has the rest */
#else
#define down N
#endif
byte una, nxt		/* acknowledged, and sent, units */
bool shut_wr		/* the FIN is queued */
byte rcv		/* units of the peer's that came, in order */
byte unread
bool fin_here		/* SOCK_DONE: the peer's FIN came */
byte error		/* a pending error */
bool reopened		/* by connect(AF_UNSPEC): shut no more */
bool news		/* epoll holds an edge */
bool owe_ack, owe_rst

/* The descriptor: ours, and that of another holder. */
bool open = true
bool lingers		/* SO_LINGER {1,0} is set */
#ifdef HOLDER
bool held = true
#else
#define held false
#endif

/* The peer's TCP. */
byte p_rcv		/* our units that really came, in order */
byte p_wrote, p_una, p_nxt
bool p_fin		/* its FIN is queued */
bool p_dead		/* no socket is left: whatever comes gets a RST */
bool p_gone		/* nothing answers any more */
bool p_owe_ack, p_owe_rst

/* Segments carry a unit's number, and the number that is expected next. */
chan wire = [ROOM] of { mtype:segment, byte, byte }
chan back = [ROOM] of { mtype:segment, byte, byte }
byte trouble = LOSSES

/* What the assertions know and the library does not. */
bool late		/* a limit ran out */
bool was_reset		/* by RST, or given up */
bool answered		/* so by an RST for our FIN, when all else was done */
bool torn		/* our FIN has cut off what the layer held */
bool refused		/* shutdown(2) was */
bool foreign		/* another holder did connect(AF_UNSPEC) */
bool rst_at_close	/* close(2) or connect(2) sent a RST */
bool detaching		/* and input came since it began to */
bool input_since
bool released
byte most = N		/* unacknowledged bytes when fail() began */

#define bytes(units)	((units) < down -> (units) : down)
#define unacked_now	(down - bytes(una))
#define fin_came	(p_fin && rcv == p_wrote + 1)
#define outq		(reopened -> FORGOTTEN : down + shut_wr - una)
#define fin_left	(shut_wr && nxt == down + 1)
#define alive		(st != CLOSED && st != TIME_WAIT)
#define p_alive		(!p_dead && !p_gone)
#define going		(!released)
#define quiet		(empty(wire) && empty(back))

/* --- our TCP -------------------------------------------------------------- */

#define reset_by_us(s)	(s == ESTABLISHED || s == CLOSE_WAIT || \
			    s == FIN_WAIT1 || s == FIN_WAIT2)

/* tcp_reset(), tcp_write_err(): what was not acknowledged stays counted. */
inline die(why) {
	answered = why == RESET && fin_here && fin_left && una >= down;
	st = CLOSED; error = why; was_reset = true; tell();
	owe_ack = false
}

inline tell() {
	news = edges
}

inline take_ack(a) {
	if
	:: a > una ->
		una = a;
		if
		:: una == down + 1 && st == FIN_WAIT1 -> st = FIN_WAIT2; tell()
		:: una == down + 1 && st == CLOSING -> st = TIME_WAIT; tell()
		:: una == down + 1 && st == LAST_ACK -> st = CLOSED; tell()
		:: else
		fi
	:: else
	fi
}

inline take_byte(n) {
	if
	:: n == rcv -> rcv++; unread++; input_since = detaching; tell()
	:: else
	fi;
	owe_ack = true
}

inline take_fin(n) {
	if
	:: n == rcv && !fin_here ->
		rcv++; fin_here = true; tell();
		if
		:: st == ESTABLISHED -> st = CLOSE_WAIT
		:: st == FIN_WAIT1 -> st = CLOSING
		:: st == FIN_WAIT2 -> st = TIME_WAIT
		:: else
		fi
	:: else
	fi;
	owe_ack = true
}

inline our_input(k, n, a) {
	if
	:: k == RST ->
		if
		:: alive && st == CLOSE_WAIT -> die(PIPE)
		:: alive && st != CLOSE_WAIT -> die(RESET)
		:: else
		fi
	:: k != RST && st == CLOSED -> owe_rst = true
	:: k != RST && st == TIME_WAIT ->
		owe_ack = owe_ack || k == FIN
	:: k != RST && alive ->
		take_ack(a);
		if
		:: k == DATA && alive -> take_byte(n)
		:: k == FIN && alive -> take_fin(n)
		:: else
		fi
	fi
}

#define unit(n)		(n == down -> FIN : DATA)

/* The timer of retransmission runs out where nothing is under way. */
proctype our_output() {
end:	do
	:: atomic { going && nfull(wire) && owe_rst ->
		wire!RST,0,0; owe_rst = false }
	:: atomic { going && nfull(wire) && owe_ack && st != CLOSED ->
		wire!ACK,0,rcv; owe_ack = false }
	:: atomic { going && nfull(wire) && alive && nxt < down + shut_wr ->
		wire!unit(nxt),nxt,rcv; nxt++; owe_ack = false }
	:: atomic { going && nfull(wire) && alive && una < nxt && quiet &&
	    !owe_ack ->
		wire!unit(una),una,rcv }
	:: atomic { going && nfull(wire) && alive && una < nxt && trouble > 0 ->
		trouble--; wire!unit(una),una,rcv }
	:: atomic { going && alive && una < nxt && trouble > 0 ->
		trouble--; die(GIVEN_UP) }
	od
}

#ifdef LAYER
/*
 * tls_write_space(): when TCP has nothing left to send, the layer hands on what
 * it holds.  Behind a FIN it cannot, and tells so (tls_err_abort()).
 */
#define layer_is_late	(down < N && una == down + shut_wr && alive && !torn)

proctype layer() {
end:	do
	:: atomic { going && layer_is_late && !shut_wr -> down++ }
	:: atomic { going && layer_is_late && shut_wr ->
		torn = true; error = PIPE; tell() }
	od
}
#else
#define layer_is_late	false
#endif

/* --- the peer ------------------------------------------------------------- */

inline peer_input(k, n, a) {
	if
	:: p_gone
	:: !p_gone && k == RST -> p_dead = true; p_owe_ack = false
	:: !p_gone && k != RST && p_dead -> p_owe_rst = true
	:: p_alive && k != RST ->
		if
		:: a > p_una -> p_una = a
		:: else
		fi;
		if
		:: k != ACK && n == p_rcv -> p_rcv++
		:: else
		fi;
		p_owe_ack = p_owe_ack || k != ACK
	fi
}

#define p_unit(n)	(n == p_wrote && p_fin -> FIN : DATA)

proctype peer_output() {
end:	do
	:: atomic { going && nfull(back) && p_owe_rst && !p_gone ->
		back!RST,0,0; p_owe_rst = false }
	:: atomic { going && nfull(back) && p_owe_ack && p_alive ->
		back!ACK,0,p_rcv; p_owe_ack = false }
	:: atomic { going && nfull(back) && p_alive &&
	    p_nxt < p_wrote + p_fin ->
		back!p_unit(p_nxt),p_nxt,p_rcv; p_nxt++; p_owe_ack = false }
	:: atomic { going && nfull(back) && p_alive && p_una < p_nxt && quiet &&
	    !p_owe_ack ->
		back!p_unit(p_una),p_una,p_rcv }
	:: atomic { going && nfull(back) && p_alive && p_una < p_nxt &&
	    trouble > 0 ->
		trouble--; back!p_unit(p_una),p_una,p_rcv }
	od
}

/*
 * The peer's program half-closes, first or last, or resets, before the FIN or
 * after; its host may vanish.  It may leave it at that where a limit is set:
 * else a close waits for ever, as it was told to.
 */
proctype peer() {
end:	do
	:: atomic { going && !p_fin && p_alive && p_wrote < M -> p_wrote++ }
	:: atomic { going && !p_fin && p_alive -> p_fin = true }
	:: atomic { going && p_alive -> p_dead = true; p_owe_rst = true }
	/* FIN_WAIT2 times out, or there is no room for TIME_WAIT. */
	:: atomic { going && p_alive && p_fin && p_una == p_wrote + 1 ->
		p_dead = true }
	:: atomic { going && limited && !p_gone -> p_gone = true }
	:: going && !limited && p_fin -> break
	od
}

/* --- the network ---------------------------------------------------------- */

proctype there() {
	mtype:segment k;
	byte n, a;
end:	do
	:: atomic { going && nempty(wire) -> wire?k,n,a;
		if
		:: trouble > 0 -> trouble--
		:: peer_input(k, n, a)
		fi;
		k = 0; n = 0; a = 0 }
	od
}

/* With a RST lost, and nothing to send, we should wait for ever. */
proctype here() {
	mtype:segment k;
	byte n, a;
end:	do
	:: atomic { going && nempty(back) -> back?k,n,a;
		if
		:: trouble > 0 && (limited || k != RST) -> trouble--
		:: our_input(k, n, a)
		fi;
		k = 0; n = 0; a = 0 }
	od
}

/* --- the clock, signals, another holder ----------------------------------- */

proctype clock() {
end:	do
	:: atomic { going && limited && !late -> late = true }
	od
}

/* connect(AF_UNSPEC): tcp_disconnect(), which spares CLOSING and LAST_ACK. */
inline disconnect() {
	if
	:: reset_by_us(st) ||
	    (nxt < down + shut_wr && (st == CLOSING || st == LAST_ACK)) ->
		owe_rst = true; rst_at_close = true; error = RESET
	:: else
	fi;
	st = CLOSED; reopened = true; unread = 0; fin_here = false;
	shut_rd = false; owe_ack = false; tell()
}

/* The last close(2): __tcp_close(). */
inline last_close() {
	if
	:: !alive
	:: alive && unread > 0 ->
		st = CLOSED; owe_rst = true; rst_at_close = true
	:: alive && unread == 0 && lingers -> disconnect()
	:: alive && unread == 0
	fi;
	unread = 0
}

#ifdef HOLDER
proctype holder() {
end:	do
	:: atomic { going && unread > 0 -> unread-- }
	:: atomic { going && error -> error = NO_ERROR }
	:: atomic { going && !shut_rd && alive -> shut_rd = true; tell() }
	:: atomic { going && !reopened ->
		disconnect(); foreign = true; rst_at_close = false }
	:: atomic { going -> held = false;
		if
		:: !open -> last_close(); rst_at_close = false
		:: else
		fi };
		break
	od
}
#endif

/* --- the library ---------------------------------------------------------- */

#ifdef NO_DELIVERY_CHECK
#define reached		(finished || (delivered && !finished_too))
#elif defined(NO_FINISH_CHECK)
#define reached		(delivered)
#else
#define reached		(delivered && (finished || !finished_too))
#endif
#define flooded		(capped && discarded > 0)

/* Nothing may be asked of a descriptor that was released. */
#define ask()		assert(open)

/* recv(2), in the order of tcp_recvmsg_locked(). */
inline receive() {
	ask();
	if
	:: unread > 0 -> unread--; r = BYTE
	:: unread == 0 && fin_here -> r = END
	:: unread == 0 && !fin_here && error ->
		failed = error; error = NO_ERROR; r = ERROR
	:: unread == 0 && !fin_here && !error &&
	    (shut_rd || (st == CLOSED && !reopened)) -> r = END
	:: unread == 0 && !fin_here && !error && reopened ->
		r = NOT_CONNECTED
	:: else -> r = EMPTY
	fi
}

/* graceclose_tcp_anew(): a count that was taken after connect(AF_UNSPEC) */
#ifdef KEEPS_COUNT
#define ANEW		false
#else
#define ANEW		reopened
#endif

/*
 * in_doubt(): SO_ERROR says that the layer has lost something, once TCP has sent
 * all.
 */
#ifdef LAYER
#define in_doubt	(error == PIPE)
#else
#define in_doubt	false
#endif

inline acknowledge() {
	ask();
	q = outq;
	if
	:: q > 0 && half_closed -> q--
	:: q == 0 && half_closed && !in_doubt -> delivered = true
	:: else
	fi;
	if
	:: (counted && q > unacked) || ANEW
	:: else -> counted = true; unacked = q
	fi;
	q = 0
}

/*
 * only_answered(): the RST is what a peer says to our FIN that has forgotten
 * the connection.
 */
#if defined(RST_BEFORE_FIN)
#define only_answered	(finished && counted && unacked == 0)
#elif defined(RST_WITH_DATA)
#define only_answered	(failed == RESET && finished && half_closed && \
			    counted && fin_left)
#elif defined(RST_FIN_WAITS)
#define only_answered	(failed == RESET && finished && half_closed && \
			    counted && unacked == 0)
#elif defined(RST_NO_PEER_FIN)
#define only_answered	(failed == RESET && half_closed && counted && \
			    unacked == 0 && fin_left)
#elif defined(GAVE_UP)
#define only_answered	(finished && half_closed && counted && \
			    unacked == 0 && fin_left)
#else
#define only_answered	(failed == RESET && finished && half_closed && \
			    counted && unacked == 0 && fin_left)
#endif

/* SETTLED_MS between two looks */
#ifdef LOOKS_IN_A_ROW
#define PASSED		true
#else
#define PASSED		passed
#endif

/* All that is unread, and a pending error that stands before it. */
inline sweep() {
	receive();
	do
	:: r == BYTE -> receive()
	:: else -> break
	od;
	r = 0
}

/* For an event, the time or a signal, and need not say which. */
inline wait_for_news() {
	if
#ifndef NO_NAPS
	/* A nap is over: a layer that has something to do has done it. */
	:: (!delivered || deaf) && !layer_is_late -> passed = true
#endif
	:: edges && news
	:: !edges && !finished && !deaf && (unread > 0 || fin_here ||
	    shut_rd || error || !alive)			/* POLLIN, POLLHUP */
	:: late
#ifdef STORM
	:: limited					/* EINTR */
#endif
	fi;
#ifdef DEADLINE_RESTARTS
	late = false;
#endif
	news = false
}

/* What is true, whatever was returned. */
inline judge() {
	/*
	 * A reset that met us before our FIN was queued, and whose error was
	 * taken by somebody else, looks like an end in order where every byte
	 * had been acknowledged and the peer's FIN is here.
	 */
	assert(outcome != OK || p_rcv >= N + half_closed ||
	    (p_rcv >= N && answered));
	assert(outcome != OK || fin_came || !finished_too);
	assert(!delivered || p_rcv >= N + half_closed ||
	    (p_rcv >= N && answered));
	assert(!finished || fin_came);
	assert(outcome != OK || unacked == 0);
	assert(outcome != WAS_RESET || was_reset || foreign);
	assert((outcome == INVALID) == refused);
	assert(!torn);
	assert(outcome != EXPIRED || late);
	/* What the peer never got, what we know of, and the report. */
#ifndef LAYER	/* it may have handed on more since */
	assert(!counted || N - bytes(p_rcv) <= unacked);
	assert(!counted || unacked_now <= unacked);
#endif
	/* After it the last count is as good as any: there is none left. */
	assert(!counted || unacked <= (foreign -> N : most));
	assert(!rst_at_close || resets || input_since || outcome == FLOODED);
	/* In CLOSING and LAST_ACK nothing but forgetting is left. */
	assert(!resets || !alive &&
	    (rst_at_close || fin_came || was_reset || foreign))
}

/* What stands in one atomic is one system call and what follows from it. */
proctype closer() {
	bool half_closed, finished, delivered, counted, deaf, more, stepped;
	bool capped, resets, passed, early;
	byte unacked, discarded, q, failed, looks;
	mtype:outcome outcome;
	mtype:got r;

	/* graceclose_begin() */
#if defined(LAYER) && !defined(FIN_AT_ONCE)
	goto drain;
#else
	atomic { ask(); finished = fin_here && unread == 0 };
#endif

half:	/* half_close() */
	atomic {
		ask();
		if
		:: alive ->
			shut_wr = true; half_closed = true;
			if
			:: st == ESTABLISHED -> st = FIN_WAIT1
			:: st == CLOSE_WAIT -> st = LAST_ACK
			:: else
			fi
#ifdef REFUSED
		:: true ->
			refused = true;
#ifdef REFUSED_IS_OK
			half_closed = true
#else
			outcome = INVALID; goto fail
#endif
#endif
		:: !alive -> goto bury			/* ENOTCONN */
		fi;
		if
		:: finished -> goto look
		:: !finished -> goto drain
		:: !finished && edges && unread == 0 -> early = true; goto look
		fi
	};

at_end:	/* graceclose_tcp_at_end() */
	atomic {
		ask();
		if
		:: fin_here && unread == 0 ->
			more = false; finished = true; goto look
		:: else -> goto drain
		fi
	};

drain:	/* drain(), a recv(2) */
	atomic {
		more = false;
		receive();
		if
		:: r == BYTE ->
			if
			:: discarded == 0 -> discarded = 1; capped = true
			:: discarded = 1
			fi;
			if
			:: capped -> outcome = FLOODED; goto fail
			:: !capped -> goto drain
			:: !capped -> more = true; goto look	/* STEP_MAX */
			fi
		:: r == EMPTY -> goto look
		:: r == NOT_CONNECTED -> goto bury
		:: r == ERROR -> outcome = WAS_RESET; goto fail
		:: r == END -> goto eof
		fi
	};

eof:	/* graceclose_tcp_finished() */
	atomic {
		ask();
		if
#ifdef EOF_BY_SHUT_RD
		:: true -> finished = true
#else
		:: fin_here -> finished = true
		:: !fin_here -> deaf = true
#endif
		fi
	};

look:	/* acknowledge(), reached() */
#if defined(LAYER) && !defined(FIN_AT_ONCE)
	/* settle(): all is in TCP when it has nothing to send for a while. */
	atomic {
		r = 0;
		if
		:: half_closed
		:: !half_closed && (outq > 0 || looks == 0) ->
			looks = (outq == 0); passed = false; ask(); goto weigh
		:: !half_closed && outq == 0 && looks > 0 && !PASSED ->
			ask(); goto weigh
		:: !half_closed && outq == 0 && looks > 0 && PASSED ->
			ask(); goto half
		fi
	};
#endif
	atomic {
		r = 0;
		if
		:: early && outq == 0
		:: !delivered && !(early && outq == 0) -> acknowledge()
		:: else
		fi;
		early = false;
weigh:		if
		:: reached -> outcome = OK; goto over
		:: reached && !finished && !finished_too ->
			finished_too = true; goto limits	/* and go on */
		:: !reached && (finished || deaf) -> goto gone
		:: else -> goto limits
		fi
	};

gone:	/* graceclose_tcp_gone() */
	atomic {
		ask();
		if
#if defined(LAYER) && !defined(FIN_AT_ONCE)
		:: !alive && (half_closed || outq > 0) -> goto bury
#else
		:: !alive -> goto bury
#endif
		:: else -> goto limits
		fi
	};

limits:	/* schedule(), or the caller has had enough */
	atomic {
		stepped = true;
		if
		:: limited && late -> outcome = EXPIRED; goto fail
		:: !(limited && late) && more -> goto at_end
		:: !(limited && late) && !more -> goto nap
		:: outcome = ABORTED; goto fail
		fi
	};

nap:	/* graceclose_tcp_wait() */
	atomic {
		wait_for_news();
		if
		:: finished -> goto look
		:: else -> goto at_end
		fi
	};

bury:	/* the pending error, then what hides the end, then which it was */
	atomic { ask(); failed = error; error = NO_ERROR; r = 0 };
	atomic { sweep() };
	atomic {
		ask();
		if
		:: failed || outq > 0 || reopened || !fin_here ->
			finished = finished || (fin_here && unread == 0);
			outcome = WAS_RESET; goto fail
		:: else ->
			delivered = true; finished = true; unacked = 0;
			outcome = OK;
			if
			:: capped -> finished_too = true; outcome = FLOODED
			:: true
			fi;
			goto over
		fi
	};

fail:	/* the last look */
	atomic {
		r = 0; most = unacked_now;
#ifndef NO_LAST_LOOK
		if
		:: !delivered && (outcome != WAS_RESET || !reopened) ->
			acknowledge()
		:: else
		fi;
#endif
		skip
	};
	if
	:: atomic { reached && outcome != ABORTED -> outcome = OK }
	:: atomic { reached && outcome != ABORTED && !finished &&
	    !finished_too -> finished_too = true }
	:: !(reached && outcome != ABORTED)
	fi;
	/* lost() */
	atomic {
		ask();
		if
		:: outcome == WAS_RESET && !reopened && only_answered ->
			delivered = true; finished = true; unacked = 0;
			outcome = OK
		:: else
		fi;
		failed = NO_ERROR
	};

over:	/* release(): linger or abort */
	atomic {
		if
		:: outcome == EXPIRED || outcome == FLOODED ||
		    outcome == ABORTED -> resets = true	/* if told so */
		:: true
		fi;
		if
		:: resets ->
			ask(); disconnect(); goto shut
		:: !resets && !(delivered && finished) ->
			ask(); detaching = true;
#ifdef LINGER_LEFT
			lingers = true
#endif
		:: else ->
			lingers = true; goto shut	/* never mind */
		fi
	};
	atomic {
#ifndef NO_SWEEP
		if
		:: outcome != FLOODED -> sweep()
		:: else
		fi;
#endif
		skip
	};

shut:	/* graceclose_tcp_close() */
	atomic {
		ask();
		open = false;
		if
		:: !held -> last_close()
		:: else
		fi;
#ifndef DOUBLE_CLOSE
		judge();
		released = true
#endif
	};
#ifdef DOUBLE_CLOSE
	atomic { ask(); open = false }		/* once more, after EINTR */
#endif
}

init {
	atomic {
#ifdef SHUT_RD
		shut_rd = true;
#endif
		run our_output(); run peer_output(); run there(); run here();
		run peer(); run clock(); run closer();
#ifdef LAYER
		run layer();
#endif
#ifdef HOLDER
		run holder()
#endif
	}
}

ltl ends { <> released }
