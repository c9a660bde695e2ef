/*
 * reaper.pml - how lib/reaper_*.c hands a close from thread to thread
 *
 * CALLERS threads submit a descriptor each to a reaper that holds MAX of them
 * and cuts the oldest to make room, one thread flushes, and one frees the
 * reaper at any time.  An event may come, or a timer run out, whenever there
 * is one, and every step may be the last of its close: what the peer does is
 * the business of close.pml.  Here it is who may touch what, and when.
 *
 * What is done under the lock is one step.  What is done without it is one step
 * for each close, with whatever the others do in between.
 */
#ifndef CALLERS
#define CALLERS 3
#endif
#ifndef MAX
#define MAX 1
#endif
#define NONE CALLERS

mtype:state = { UNUSED, WAITING, BUSY, EVICTED }
mtype:place = { NOWHERE, QUEUE, TO_CUT, RING, OVER }	/* of its one link */

typedef closing {
	mtype:state state;
	mtype:place place;
	bool taken;		/* the caller was told 0, or will be */
	bool timer;		/* in the wheel */
	bool watched;		/* in the set of epoll, by its address */
	bool over;		/* fd is -1 */
	bool freed;
	bool closed, told	/* once each */
}
closing c[CALLERS]
bool news[CALLERS], busy[CALLERS]	/* struct turn */
chan queue = [CALLERS] of { byte }	/* the oldest first */

byte now, begun, inside, pending, told, counted, evicted
bool asleep, alarm		/* the eventfd has an edge */
bool stopping, gone, joined	/* free: told, the thread ended, all freed */
byte i, n			/* for loops in one step */

#define taken_ok(i)	(!c[i].taken || c[i].closed && c[i].told)
#define all_told	(taken_ok(0) && taken_ok(1) && (CALLERS < 3 || \
			    taken_ok(CALLERS - 1)))

/* The memory of a close, and of the reaper, must be there. */
#define use(k)		assert(!c[k].freed && !joined)

inline rouse() {
	alarm = alarm || asleep
}

inline leave() {
	assert(!joined);
	inside--;
	alarm = alarm || inside == 0 && stopping
}

/* graceclose_reaper_end(): out of the set, then close(2), once */
inline end_close(k) {
	use(k);
	assert(!c[k].closed);
	c[k].watched = false;
	c[k].closed = true;
	c[k].over = true
}

inline unlink(k) {
	assert(c[k].place == QUEUE);
	queue??eval(k);
	c[k].place = NOWHERE;
	now--
}

inline watch(k) {
	c[k].watched = true; c[k].state = WAITING
}

/* --- submit.c: in the caller's thread ------------------------------- */

/* done() is called with no lock held, and before it counts as told. */
inline finish(k) {
	atomic { use(k); c[k].closed = true };
	atomic { assert(!joined); begun--; counted++ };
	atomic { c[k].told = true };
	atomic { pending--; leave() }
}

/* Of the oldest: its number, if it is the caller's now. */
inline pick_oldest() {
	if
	:: now > MAX ->
		queue?<old>;
		use(old);
		unlink(old);
		c[old].timer = false;
		if
#ifndef EVICT_BUSY
		:: c[old].state == BUSY -> c[old].state = EVICTED; old = NONE
#endif
		:: else -> c[old].state = EVICTED
		fi
	:: else
	fi
}

proctype caller(byte me) {
	byte old = NONE;

	/* enter() */
	atomic {
		if
		:: joined || stopping -> goto out	/* EINVAL */
		:: else ->
			inside++; begun++; pending++; c[me].taken = true
		fi
	};
	/* over after one step, or no memory to wait with */
	if
	:: finish(me); goto out
	:: true
	fi;
	/* enqueue() */
#ifdef ADD_UNLOCKED
	atomic { watch(me) };
#endif
	atomic {
		assert(!joined);
		watch(me);
		begun--;
		queue!me;
		c[me].place = QUEUE; c[me].timer = true;
		now++;
		pick_oldest();
		rouse();
		if
		:: old == NONE -> leave(); goto out
		:: else
		fi
	};
	/* evict() */
	atomic { end_close(old) };
	atomic {
		use(old);
		counted++; evicted++;
		assert(c[old].place == NOWHERE);
		c[old].place = RING;
#ifndef NO_ROUSE
		rouse();
#endif
#ifdef FREE_AT_EVICT
		c[old].place = NOWHERE; c[old].told = true; c[old].freed = true;
		pending--;
#endif
		old = NONE
	};
	atomic { leave() };
out:	skip
}

/* --- thread.c ------------------------------------------------------ */

#define each		i : 0 .. CALLERS - 1

inline has(where, count) {
	count = 0;
	for (each) {
		if
		:: c[i].place == where -> count++
		:: else
		fi
	}
}

inline take(k) {
	use(k);
	c[k].timer = false; c[k].state = BUSY; busy[k] = true
}

inline collect() {
	for (each) {
		if
		:: c[i].place == RING -> c[i].place = OVER
		:: c[i].place == QUEUE && stopping ->
			unlink(i); c[i].timer = false; c[i].place = TO_CUT
		:: else
		fi
	}
	for (each) {
		if
		:: news[i] && !stopping ->
			use(i);
			if
			:: c[i].state == WAITING -> take(i)
			:: else
			fi
		:: else
		fi;
		news[i] = false;
		if
		:: c[i].timer -> take(i)	/* it is due */
		:: true
		fi
	}
}

inline settle() {
	for (each) {
		if
		:: busy[i] && c[i].over ->
			if
			:: c[i].state != EVICTED -> unlink(i)
			:: else
			fi;
			counted++;
			c[i].place = OVER
		:: busy[i] && !c[i].over && c[i].state == EVICTED ->
			c[i].place = TO_CUT
		:: busy[i] && !c[i].over && c[i].state != EVICTED ->
			c[i].state = WAITING; c[i].timer = true
		:: else
		fi;
		busy[i] = false
	}
}

#define due(k)		(c[k].timer || c[k].watched)
#define any_due		(due(0) || due(1) || due(CALLERS - 1))

proctype thread() {
	byte k;
	bool more, at_once;

rest:	atomic {
		pending = pending - told; told = 0;
		has(RING, n);
#ifdef NO_INSIDE
		more = !stopping || n > 0 || nempty(queue);
#else
		more = !stopping || n > 0 || nempty(queue) || inside > 0;
#endif
		at_once = n > 0 || stopping && nempty(queue);
		n = 0;
		asleep = !at_once;
		if
		:: !more -> gone = true; goto out
		:: else
		fi
	};
	/* graceclose_watch_wait() */
	atomic {
		at_once || alarm || any_due;
		alarm = false;
		for (each) {
			if
			:: c[i].watched -> news[i] = true;
				if
				:: c[i].watched = false	/* EPOLLONESHOT */
				:: true
				fi
			:: true
			fi
		}
	};
	atomic { asleep = false; collect() };
	for (k : 0 .. CALLERS - 1) {
		if
		:: atomic { busy[k] -> end_close(k) }
		:: atomic { busy[k] -> use(k); c[k].watched = true }
		:: atomic { !busy[k] }
		fi
	}
	atomic { settle() };
	for (k : 0 .. CALLERS - 1) {
		if
		:: atomic { c[k].place == TO_CUT -> end_close(k) };
			atomic { counted++;
				evicted = evicted + (c[k].state == EVICTED);
				c[k].place = OVER }
		:: atomic { c[k].place != TO_CUT }
		fi
	}
	for (k : 0 .. CALLERS - 1) {
		if
		:: atomic { c[k].place == OVER ->
			use(k);
			assert(!c[k].told && !c[k].watched && !c[k].timer);
			c[k].told = true; c[k].freed = true;
			c[k].place = NOWHERE; told++ }
		:: atomic { c[k].place != OVER }
		fi
	}
	atomic { k = 0; goto rest };
out:	skip
}

/* --- flush.c, reaper.c --------------------------------------------- */

/* What was taken before is over, closed and reported. */
proctype flush() {
	atomic {
		if
		:: gone -> goto out		/* too late to ask */
		:: else -> inside++
		fi
	};
	atomic { pending == 0 ->
		assert(begun == 0 && now == 0 && all_told);
		leave() };
out:	skip
}

proctype free_it() {
	atomic { stopping = true; alarm = true };
	atomic { gone -> joined = true;
		assert(pending == 0 && inside == 0 && begun == 0 && now == 0);
		assert(all_told && empty(queue)) }
}

init {
	atomic {
		for (n : 0 .. CALLERS - 1) {
			c[n].state = UNUSED; c[n].place = NOWHERE;
			run caller(n)
		}
		n = 0;
		run thread(); run flush(); run free_it()
	}
}
