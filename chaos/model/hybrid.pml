/* The protocol of the hybrid store: SQL decides, the lane offers, and things fail meanwhile.

     Client            Worker 0, 1, ..                  Reaper   Promoter   Keeper      Sweep
       | submit          | claim     ^ take               | reap   | promote  | bury      | look
       |                 | finish    | settle             |        |          |           |
       v                 v           |                    v        v          v           v
    +- SQL ----------------------+   |    +- lane -----------------------------+          |
    | job[]: state token worker  |   +----| lane[] taken[] epoch filling      | <- push -+
    | lease[]: live, over, gone  |        +------------------------------------+
    +----------------------------+                 ^
       | whoever queues a job owes it to the lane  |
       +---------------- owed[] ---------------> Relay: push

   Whoever queues a job owes its id to the lane, and a relay brings it there some time later, if it
   lives and reaches the lane. There are two sides, each with a breaker of its own: CLIENT submits,
   and HOST works (workers, keepers, upkeep).

   An action is one call to a server, or one transaction; between two of them all may happen that
   can. No time passes here: what it would bring (a lease ends, a hold ends, the next sweep) may
   come at any moment, and a process that is stopped is one that does nothing for long.

   action                           in the code, under src/ferryman
   submit                           stores/sql/producers.py    Producers.submit
   push                             stores/hybrid/relay.py     Relay.add, _push; lane_push.lua
   take, settle, put_back           stores/hybrid/relay.py     Relay.take, _settle; lane_take.lua
   claim_offered, claim_next        stores/sql/deliveries.py   Deliveries.claim
   look_at_refused                  stores/hybrid/relay.py     Relay.delivered
   hand_back_unknown, _late         worker/exchange.py         Exchange.look
   finish...                        stores/sql/endings.py      Endings.finish
   bury, unregister                 worker/keeper.py           Keeper.release
   reap                             stores/sql/returns.py      Returns.reap
   promote                          stores/sql/upkeep.py       Upkeep.promote
   begin_fill ... end_fill          stores/hybrid/sweep.py     Sweep._fill; lane_filled.lua
   see_head, push_head              stores/hybrid/sweep.py     Sweep._compare
   trip, close, distrust            stores/hybrid/breaker.py   Breaker.trip, _recover
   effect                           a write elsewhere by the token, see docs/explanation/guarantees.md */

#ifndef JOBS
#define JOBS 1             /* 1 or 2 */
#endif
#ifndef WORKERS
#define WORKERS 2          /* 2 or 3; all but one may be lost */
#endif
#ifndef FAULTS
#define FAULTS 1           /* how many things fail, of those that begin with FAILS below */
#endif
#ifndef SLIPS
#define SLIPS 1            /* how often something periodic comes before a live process has acted */
#endif
#ifndef RETRIES
#define RETRIES 1          /* endings after which a job runs again */
#endif
#ifndef DISCARDS
#define DISCARDS 0         /* how often an ended job is deleted, and its id used again */
#endif
#ifndef PLANTED
#define PLANTED 0          /* which of these faults the protocol has */
#endif
#define NO_TOKEN               1          /* an ending does not look at the token */
#define TOKEN_STANDS           2          /* a claim leaves the token as it was */
#define TOKENS_BEGIN_AGAIN     4          /* a new job of an old id begins with the first token */
#define CLAIM_WITHOUT_CAS      8          /* a claim takes what is offered, whatever state it is in */
#define CLAIM_WITHOUT_LEASE    16         /* a claim does not look at the lease */
#define SUBMIT_OVERWRITES      32         /* a submit that is repeated begins the job anew */
#define PUSH_FIRST             64         /* the lane is told before the submit commits */
#define LANE_FIRST             128        /* the lane is told before the ending is written */
#define NO_PUSH                256        /* nobody pushes but the sweep */
#define NO_SWEEP               512        /* nobody sweeps */
#define NO_HEADS               1024       /* the sweep does not look whether jobs stand still */
#define NO_DIRECT              2048       /* nobody claims but what the lane offers */
#define NO_HOLD                4096       /* what was taken is never put back */
#define MARKS_SHARED           8192       /* a taking is settled by whoever took the id before */
#define NEVER_SETTLED          16384      /* no taking is ever settled */
#define EPOCH_IGNORED          32768      /* a flush goes unnoticed */
#define EPOCH_WITHOUT_RUN      65536      /* a restart with an older snapshot goes unnoticed */
#define FILL_UNCHECKED         131072     /* a flush while the lane is filled goes unnoticed */
#define NO_DISTRUST            262144     /* who comes back to the lane does not say that it missed something */
#define DISTRUST_FIRST         524288     /* who comes back says so before it pushes again */
#define DISTRUST_KEEPS_FILLING 1048576    /* who comes back lets a filling under way go on */
#define REAP_WITHOUT_CAS       2097152    /* the reaper lists jobs, and sends them back later */
#define NO_REAPER              4194304    /* nobody reaps */
#define REAPER_NEEDS_ROW       8388608    /* the reaper passes over workers that are not known any more */
#define HEARTBEAT_REVIVES      16777216   /* a renewal brings back a lease that has ended */
#define NO_DOUBT               33554432   /* after a lost reply nobody looks for what was claimed */
#define ONE_LOOK               67108864   /* after a lost reply that is looked for only at once */
#define HAND_BACK_ALL          134217728  /* what is looked for and what does run are handed back alike */
#define FAULTY(what) (PLANTED & (what))

/* What must never come true. The checker names it by its number. */
#define LOST 1             /* nothing is left to do, and a job that was taken in has not ended */
#define SECOND_ENDING 2    /* a job ends twice */
#define STALE_WRITE 4      /* an ending is accepted, and not from the last delivery */
#define TWO_HOLDERS 8      /* two workers are given one token */
#define NOT_ITS_OWN 16     /* what a worker runs is somebody else's, and its lease holds */
#define REFUSED_EFFECT 32  /* a write elsewhere is refused, and its token is the newest */
#define LANE_LACKS 64      /* a lane counts as filled, and neither has nor will get a queued job */
#ifndef WATCHED
#define WATCHED 127        /* which of them the judge looks for */
#endif
#define WATCHES(property) (WATCHED & property)
#define NEVER(property, condition) assert(!(condition) || 0 == WATCHES(property))

#define NONE 255
#define CLIENT 0
#define HOST 1
#define MAX_KILLS 2        /* 3 in the code: one less makes the model smaller */
#define BIT(n) (1 << (n))

mtype = { absent, queued, scheduled, running, succeeded, failed };
mtype = { live, over, gone };
mtype = { alive, process_died, host_died, buried };
mtype = { idle, offered, refused, in_doubt, claimed, ran, ending, unsure, stopped };

typedef Row { mtype state = absent; byte token; byte worker; byte kills };
Row job[JOBS];             /* the database */
mtype lease[WORKERS] = live;

bool lane[JOBS];           /* the ids on offer */
byte taken[JOBS];          /* those that are held, a bit for each taker */
byte server = 1;           /* its run */
byte epoch = 1;            /* the run in which the lane was filled, or 0 */
byte filling;              /* by nobody (0), by the sweep (1), by one that has died (2) */

byte owed[JOBS];           /* pushes on their way, a bit for each side */
bool open[2];              /* breakers */
bool for_good[2];
mtype fate[WORKERS] = alive;
mtype phase[WORKERS] = idle;
byte at[WORKERS] = NONE;   /* the job that it was offered, or runs */
byte has[WORKERS];         /* under this token */
byte settled[WORKERS];     /* takings that the lane is still to be told of, a bit for each job */
byte late[WORKERS] = NONE; /* a claim that nobody waits for any more, and that is on its way */
bool again[WORKERS];       /* unknown deliveries are to be looked for once more */

byte faults = FAULTS;
byte slips = SLIPS;
byte retries = RETRIES;
byte discards = DISCARDS;
byte spare = WORKERS - 1;

byte holder[JOBS];         /* from here on what only the judge sees: the last delivery's worker, + 1 */
byte ends[JOBS];
byte sink[JOBS];           /* the highest token that was seen elsewhere */
byte missed[JOBS];         /* queued while the breaker of a side was open, a bit for each side */
bool behind[2];            /* this side missed something, and has not said so */
bool strayed[JOBS];        /* a fault keeps it out of the lane */

hidden byte i, k;          /* scratch of one step */

#define QUEUED(j) (job[j].state == queued)
#define RUNNING(j) (job[j].state == running)
#define ENDED(j) (job[j].state == succeeded || job[j].state == failed)
#define OFFERED(j) lane[j]
#define OVER(w) (lease[w] == over)
#define NO_LEASE(w) (lease[w] == over || (lease[w] == gone && !FAULTY(REAPER_NEEDS_ROW)))
#define STALLED(j) (RUNNING(j) && NO_LEASE(job[j].worker))
#define PRESENT (epoch != 0 || FAULTY(EPOCH_IGNORED))
#define FILLED (epoch == server || (epoch && FAULTY(EPOCH_WITHOUT_RUN)) || FAULTY(EPOCH_IGNORED))
#define FAILS (faults > 0)
#define SLIPPED (slips > 0)

#if JOBS == 1
#define FIRST(which) (which(0) -> 0 : NONE)
#define EACH_JOB(step) :: step(0)
#define ALL_JOBS(which) which(0)
#define ANY_JOB(which) which(0)
#else
#define FIRST(which) (which(0) -> 0 : (which(1) -> 1 : NONE))
#define EACH_JOB(step) :: step(0) :: step(1)
#define ALL_JOBS(which) (which(0) && which(1))
#define ANY_JOB(which) (which(0) || which(1))
#endif
#if WORKERS == 2
#define ALL_WORKERS(which) (which(0) && which(1))
#define ANY_WORKER(which) (which(0) || which(1))
#else
#define ALL_WORKERS(which) (which(0) && which(1) && which(2))
#define ANY_WORKER(which) (which(0) || which(1) || which(2))
#endif

/* -- what several transactions do -------------------------------------------------------------- */

inline reach_lane(j) { lane[j] = true; missed[j] = 0; strayed[j] = false }

inline owe(j, side) {
  if
  :: open[side] -> missed[j] = missed[j] | BIT(side)
  :: !open[side] && FAULTY(NO_PUSH) -> strayed[j] = true
  :: else -> owed[j] = owed[j] | BIT(side)
  fi
}

inline count_ending(j) { ends[j]++; NEVER(SECOND_ENDING, ends[j] > 1) }

inline send_back(j, kill) {
  job[j].kills = job[j].kills + kill; job[j].worker = 0; holder[j] = 0;
  if
  :: kill && job[j].kills >= MAX_KILLS -> job[j].state = failed; count_ending(j)
  :: else -> job[j].state = queued; owe(j, HOST)
  fi
}

inline hand_back(w, kill, kept) {
  for (i : 0 .. JOBS - 1) {
    if :: RUNNING(i) && job[i].worker == w && i != kept -> send_back(i, kill) :: else fi
  }
}

/* -- clients ------------------------------------------------------------------------------------- */

inline take_in(j) {
  if
  :: job[j].state == absent || FAULTY(SUBMIT_OVERWRITES) ->
     job[j].state = queued; job[j].worker = 0; job[j].kills = 0; holder[j] = 0;
     /* The clock stands above every token of an earlier life. */
     job[j].token = (FAULTY(TOKENS_BEGIN_AGAIN) -> 0 : job[j].token + 1);
     if :: !FAULTY(PUSH_FIRST) -> owe(j, CLIENT) :: else fi
  :: else
  fi
}

inline tell_lane_first() {
  d_step { FAULTY(PUSH_FIRST) && next < JOBS && !told -> told = true; reach_lane(next) }
}
inline submit() {
  d_step { next < JOBS && (told || !FAULTY(PUSH_FIRST)) -> take_in(next); next++; told = false }
}
inline submit_again() {    /* since the reply was lost */
  d_step { FAILS && next > 0 -> faults--; take_in(next - 1) }
}
inline discard() {         /* and then submit a job of the same id */
  d_step { discards > 0 && next == JOBS && ENDED(0) ->
    discards--; next = 0; job[0].state = absent; ends[0] = 0 }
}

active proctype Client() {
  byte next;
  bool told;
  do
  :: tell_lane_first() :: submit() :: submit_again() :: discard()
  od
}

/* -- from a side to the lane ------------------------------------------------------------------------ */

inline push(side, j) {
  d_step { !open[side] && (owed[j] & BIT(side)) -> owed[j] = owed[j] & ~BIT(side); reach_lane(j) }
}
#define PUSH_OF_CLIENT(j) push(CLIENT, j)
#define PUSH_OF_HOST(j) push(HOST, j)

inline die_owing(side) {   /* between commit and push */
  d_step { FAILS && ((owed[0] | owed[JOBS - 1]) & BIT(side)) ->
    for (i : 0 .. JOBS - 1) {
      if
      :: owed[i] & BIT(side) -> owed[i] = owed[i] & ~BIT(side); strayed[i] = strayed[i] || QUEUED(i)
      :: else
      fi
    }
    faults-- }
}

active proctype Relay() {
  do
  EACH_JOB(PUSH_OF_CLIENT) EACH_JOB(PUSH_OF_HOST) :: die_owing(CLIENT) :: die_owing(HOST)
  od
}

inline trip(side) {
  for (i : 0 .. JOBS - 1) {
    if
    :: owed[i] & BIT(side) -> owed[i] = owed[i] & ~BIT(side); missed[i] = missed[i] | BIT(side)
    :: else
    fi
  }
  open[side] = true; behind[side] = true
}

inline lose_lane(side) { d_step { FAILS && !open[side] -> faults--; trip(side) } }
inline lose_lane_for_good(side) {
  d_step { FAILS && !open[side] -> faults--; for_good[side] = true; trip(side) }
}
inline close(side) {
  d_step { open[side] && !for_good[side] && !(behind[side] && FAULTY(DISTRUST_FIRST)) ->
    if :: FAULTY(NO_DISTRUST) -> behind[side] = false :: else fi;
    open[side] = false }
}
inline distrust(side) {
  d_step { behind[side] && !for_good[side] && (!open[side] || FAULTY(DISTRUST_FIRST)) ->
    if :: filling == 1 && !FAULTY(DISTRUST_KEEPS_FILLING) -> filling = 0 :: else fi;
    epoch = 0; behind[side] = false }
}

proctype Breaker(byte side) {
  do
  :: close(side) :: distrust(side) :: lose_lane(side) :: lose_lane_for_good(side)
  od
}

/* -- workers -------------------------------------------------------------------------------------------- */

#define AT(p) (phase[me] == p && fate[me] == alive)
#define MINE at[me]
#define BETWEEN_CALLS (AT(idle) || AT(claimed) || AT(ran))
#define LEASED (lease[me] == live || FAULTY(CLAIM_WITHOUT_LEASE))
#define FREE(j) (QUEUED(j) || (FAULTY(CLAIM_WITHOUT_CAS) && job[j].state != absent))
#define FROM_LANE (AT(idle) && !open[HOST] && PRESENT && FIRST(OFFERED) != NONE)
#define PAST_LANE (AT(idle) && FIRST(QUEUED) != NONE && (open[HOST] || !PRESENT || SLIPPED))

inline rest() { phase[me] = idle; MINE = NONE; has[me] = 0 }
inline stop() { phase[me] = stopped; MINE = NONE; has[me] = 0 }

inline tell_settled() {
  for (i : 0 .. JOBS - 1) {
    if
    :: settled[me] & BIT(i) ->
       taken[i] = (FAULTY(MARKS_SHARED) -> 0 : taken[i] & ~BIT(me))
    :: else
    fi
  }
  settled[me] = 0
}

inline pop() {
  tell_settled();
  MINE = FIRST(OFFERED);
  if :: !FAULTY(NO_HOLD) -> taken[MINE] = taken[MINE] | BIT(me) :: else fi;
  lane[MINE] = false
}

inline take() { d_step { FROM_LANE -> pop(); phase[me] = offered } }
inline take_in_vain() {    /* the reply is lost, and the lane counts as down */
  d_step { FAILS && FROM_LANE -> faults--; pop(); MINE = NONE; trip(HOST) }
}
inline settle() { d_step { settled[me] && !open[HOST] && fate[me] == alive -> tell_settled() } }

inline start(j) {
  job[j].state = running; job[j].worker = me; holder[j] = me + 1;
  job[j].token = job[j].token + !FAULTY(TOKEN_STANDS);
  missed[j] = 0; strayed[j] = false
}

inline claim(j) {
  if
  :: LEASED && FREE(j) ->
     start(j);
     for (k : 0 .. WORKERS - 1) {
       NEVER(TWO_HOLDERS, k != me && at[k] == j && has[k] == job[j].token)
     }
     MINE = j; has[me] = job[j].token; phase[me] = claimed
  :: LEASED && !FREE(j) -> phase[me] = refused
  :: !LEASED -> stop()
  fi
}

inline mark_settled() {
  settled[me] = settled[me] | (FAULTY(NEVER_SETTLED) -> 0 : BIT(MINE))
}

inline claim_offered() {
  d_step { AT(offered) ->
    claim(MINE);
    if :: AT(claimed) -> mark_settled() :: else fi }
}
inline look_at_refused() { /* one that is queued by now stays held, and so comes back */
  d_step { AT(refused) ->
    if :: !QUEUED(MINE) -> mark_settled() :: else fi;
    rest() }
}
inline claim_next() {      /* while the lane delivers, workers may be too busy to ever look */
  d_step { PAST_LANE && !FAULTY(NO_DIRECT) ->
    if :: !open[HOST] && PRESENT -> slips-- :: else fi;
    MINE = FIRST(QUEUED); claim(MINE) }
}

inline lose_claim() {      /* it was made, and the worker does not know */
  d_step { FAILS && AT(claimed) ->
    faults--; settled[me] = settled[me] & ~BIT(MINE); rest(); phase[me] = in_doubt }
}
inline delay_claim() { d_step { FAILS && AT(offered) -> faults--; late[me] = MINE; rest(); phase[me] = in_doubt } }
inline arrive() {
  d_step { late[me] != NONE ->
    if :: LEASED && FREE(late[me]) -> start(late[me]) :: else fi;
    late[me] = NONE }
}
inline hand_back_unknown() {
  d_step { AT(in_doubt) ->
    if :: !FAULTY(NO_DOUBT) -> hand_back(me, 0, NONE) :: else fi;
    again[me] = !FAULTY(NO_DOUBT | ONE_LOOK); rest() }
}
inline hand_back_late() {  /* a lease later: whatever was late has arrived */
  d_step { again[me] && late[me] == NONE && BETWEEN_CALLS ->
    k = (FAULTY(HAND_BACK_ALL) -> NONE : MINE);
    hand_back(me, 0, k);
    again[me] = false }
}

inline effect() {
  d_step { AT(claimed) ->
    if
    :: has[me] > sink[MINE] -> sink[MINE] = has[me]
    :: else -> NEVER(REFUSED_EFFECT, holder[MINE] == me + 1)
    fi;
    phase[me] = ran }
}

inline end(next) {
  if
  :: RUNNING(MINE) && (job[MINE].token == has[me] || FAULTY(NO_TOKEN)) ->
     NEVER(STALE_WRITE, holder[MINE] != me + 1);
     job[MINE].state = next; job[MINE].worker = 0; holder[MINE] = 0;
     if
     :: next == succeeded -> count_ending(MINE)
     :: next == queued && !FAULTY(LANE_FIRST) -> owe(MINE, HOST)
     :: else
     fi
  :: else
  fi
}

#define RETRY (AT(ran) && retries > 0)
inline finish() { d_step { AT(ran) -> end(succeeded); rest() } }
inline finish_scheduled() { d_step { RETRY -> retries--; end(scheduled); rest() } }
inline finish_queued() { d_step { RETRY && !FAULTY(LANE_FIRST) -> retries--; end(queued); rest() } }
inline tell_lane() { d_step { RETRY && FAULTY(LANE_FIRST) -> retries--; reach_lane(MINE); phase[me] = ending } }
inline finish_told() { d_step { AT(ending) -> end(queued); rest() } }
inline lose_finish() { d_step { FAILS && AT(ran) -> faults--; end(succeeded); phase[me] = unsure } }
inline finish_again() { d_step { AT(unsure) -> end(succeeded); rest() } }

inline lose_lease() { d_step { AT(idle) && lease[me] != live -> stop() } }
inline die() { d_step { fate[me] != alive && phase[me] != stopped -> stop() } }
inline die_claiming() {    /* a call of the dead arrives all the same */
  d_step { fate[me] != alive && phase[me] == offered -> late[me] = MINE; stop() }
}
inline die_finishing() { d_step { fate[me] != alive && phase[me] == ran -> end(succeeded); stop() } }

proctype Worker(byte me) {
  do
  :: take() :: take_in_vain() :: settle()
  :: claim_offered() :: look_at_refused() :: claim_next()
  :: lose_claim() :: delay_claim() :: arrive() :: hand_back_unknown() :: hand_back_late()
  :: effect() :: finish() :: finish_scheduled() :: finish_queued() :: tell_lane() :: finish_told()
  :: lose_finish() :: finish_again()
  :: lose_lease() :: die() :: die_claiming() :: die_finishing()
  od
}

/* -- who keeps leases -------------------------------------------------------------------------------------- */

#define MAY_BE_LOST(w) (FAILS && spare > 0 && fate[w] == alive && lease[w] == live)
#define BUSY(w) (phase[w] != idle || settled[w])

inline kill_process(w) { d_step { MAY_BE_LOST(w) && BUSY(w) -> faults--; spare--; fate[w] = process_died } }
inline kill_host(w) { d_step { MAY_BE_LOST(w) && BUSY(w) -> faults--; spare--; fate[w] = host_died } }
inline pause_past_lease(w) { d_step { MAY_BE_LOST(w) -> faults--; spare--; lease[w] = over } }
inline bury(w) { d_step { fate[w] == process_died -> hand_back(w, 1, NONE); fate[w] = buried } }
inline unregister(w) { d_step { fate[w] == buried && lease[w] != gone -> lease[w] = gone } }
inline end_lease(w) { d_step { fate[w] == host_died && lease[w] == live -> lease[w] = over } }
inline revive(w) {
  d_step { FAULTY(HEARTBEAT_REVIVES) && fate[w] == alive && lease[w] != live && phase[w] != stopped ->
    lease[w] = live }
}

proctype Keeper(byte w) {
  do
  :: kill_process(w) :: kill_host(w) :: pause_past_lease(w)
  :: bury(w) :: unregister(w) :: end_lease(w) :: revive(w)
  od
}

/* -- upkeep ---------------------------------------------------------------------------------------------------- */

inline forget_workers() {
  for (i : 0 .. WORKERS - 1) { if :: OVER(i) -> lease[i] = gone :: else fi }
}
inline reap() {
  d_step { !FAULTY(NO_REAPER | REAP_WITHOUT_CAS) && (ANY_WORKER(OVER) || ANY_JOB(STALLED)) ->
    for (i : 0 .. JOBS - 1) { if :: STALLED(i) -> send_back(i, 1) :: else fi }
    forget_workers(); i = 0 }
}
inline list_stalled() {
  d_step { FAULTY(REAP_WITHOUT_CAS) && listed == 0 && ANY_JOB(STALLED) ->
    for (i : 0 .. JOBS - 1) { if :: STALLED(i) -> listed = listed | BIT(i) :: else fi }
    forget_workers(); i = 0 }
}
inline send_back_listed() {
  d_step { listed ->
    for (i : 0 .. JOBS - 1) { if :: listed & BIT(i) -> send_back(i, 1) :: else fi }
    listed = 0 }
}
inline promote(j) { d_step { job[j].state == scheduled -> job[j].state = queued; owe(j, HOST) } }

active proctype Upkeep() {
  byte listed;
  do
  :: reap() :: list_stalled() :: send_back_listed() EACH_JOB(promote)
  od
}

/* -- the sweep: a page is one job, and so is the head of the queue ------------------------------------------------ */

#define HEAD (FIRST(QUEUED))
#define ON_ITS_WAY(j) (owed[j] || taken[j])
#define STANDS_STILL(j) (QUEUED(j) && !lane[j] && (!ON_ITS_WAY(j) || SLIPPED))
#define SWEEPS (!open[HOST] && page == 0 && found == NONE && !FAULTY(NO_SWEEP))

inline give_up() { page = 0; seen = 0; found = NONE; filling = (filling == 1 -> 2 : filling) }

inline begin_fill() {
  d_step { SWEEPS && !FILLED && filling == 0 -> seen = server; filling = 1; page = 1 }
}
inline read_page() {
  d_step { page > 0 && page <= JOBS && found == NONE ->
    if :: QUEUED(page - 1) -> found = page - 1 :: else -> page++ fi }
}
inline push_page() {
  d_step { page > 0 && found != NONE && !open[HOST] -> reach_lane(found); found = NONE; page++ }
}
inline end_fill() {
  d_step { page > JOBS && !open[HOST] ->
    if :: filling == 1 || FAULTY(FILL_UNCHECKED) -> epoch = seen; filling = 0 :: else fi;
    give_up() }
}
inline break_off() { d_step { page > 0 && open[HOST] -> give_up() } }
inline see_head() {        /* at the second look */
  d_step { SWEEPS && FILLED && !FAULTY(NO_HEADS) && HEAD != NONE && STANDS_STILL(HEAD) ->
    found = HEAD;
    if :: ON_ITS_WAY(found) -> slips-- :: else fi }
}
inline push_head() {
  d_step { page == 0 && found != NONE ->
    if :: !open[HOST] -> reach_lane(found) :: else fi;
    found = NONE }
}
inline die_sweeping() { d_step { FAILS && (page > 0 || found != NONE) -> faults--; give_up() } }
inline forget_filler() { d_step { filling == 2 -> filling = 0 } }

active proctype Sweep() {
  byte page, seen, found = NONE;
  do
  :: begin_fill() :: read_page() :: push_page() :: end_fill() :: break_off()
  :: see_head() :: push_head()
  :: die_sweeping() :: forget_filler()
  od
}

/* -- the lane -------------------------------------------------------------------------------------------------------- */

/* Whether who took an id is still about to say what became of it. */
#define HAS_IT(w, j) ((phase[w] == offered || phase[w] == refused) && at[w] == j)
#define SAYS_SO(w, j) (!open[HOST] && (settled[w] & BIT(j)))
#define AT_IT(w, j) (fate[w] == alive && (HAS_IT(w, j) || SAYS_SO(w, j)))

inline put_back(w, j) {
  d_step { (taken[j] & BIT(w)) && (!AT_IT(w, j) || SLIPPED) ->
    if :: AT_IT(w, j) -> slips-- :: else fi;
    taken[j] = taken[j] & ~BIT(w); reach_lane(j) }
}
#define PUT_BACK_0(j) put_back(0, j)
#define PUT_BACK_1(j) put_back(1, j)
#define PUT_BACK_2(j) put_back(WORKERS - 1, j)

inline evict(j) { d_step { FAILS && lane[j] -> faults--; lane[j] = false; strayed[j] = QUEUED(j) } }
inline flush() {
  d_step { FAILS ->
    for (i : 0 .. JOBS - 1) { lane[i] = false; taken[i] = 0 }
    faults--; epoch = 0; filling = 0 }
}
inline restart() {         /* with a snapshot, which may be of any moment before */
  atomic { FAILS && server == 1 ->
    faults--; server++;
    if :: epoch = 0 :: skip fi;
    if :: filling = 0 :: filling -> skip fi;
    for (i : 0 .. JOBS - 1) { taken[i] = 0; if :: lane[i] = false :: lane[i] = true fi } }
}

active proctype Lane() {
  do
  EACH_JOB(PUT_BACK_0) EACH_JOB(PUT_BACK_1) EACH_JOB(PUT_BACK_2)
  EACH_JOB(evict) :: flush() :: restart()
  od
}

/* -- the judge ------------------------------------------------------------------------------------------------------------ */

#define OWN(w) (lease[w] != live || fate[w] != alive || (phase[w] != claimed && phase[w] != ran) || holder[at[w]] == w + 1)
#define WILL_BE_TOLD(j, side) (behind[side] && (missed[j] & BIT(side)))
#define KNOWN(j) (!QUEUED(j) || lane[j] || taken[j] || owed[j] || strayed[j] || WILL_BE_TOLD(j, CLIENT) || WILL_BE_TOLD(j, HOST))
#define OVER_AND_DONE(j) (job[j].state == absent || ENDED(j))

active proctype Judge() {
  do
  :: d_step { WATCHES(NOT_ITS_OWN) && !ALL_WORKERS(OWN) -> NEVER(NOT_ITS_OWN, true) }
  :: d_step { WATCHES(LANE_LACKS) && FILLED && !ALL_JOBS(KNOWN) -> NEVER(LANE_LACKS, true) }
  :: timeout -> NEVER(LOST, !ALL_JOBS(OVER_AND_DONE)); break
  od
}

init {
  atomic {
    run Breaker(CLIENT); run Breaker(HOST);
    for (i : 0 .. WORKERS - 1) { run Worker(i); run Keeper(i) }
  }
}
