// The turn: fill, serve, look on for a while, fill again. Where the loop spends its time while requests flow.
#include "turn.h"

#include <sched.h>

// How long a turn may go on without looking at the rest of the loop.
#define TURN_NS 1000000u
#define SPINS_PER_LOOK 8
#define UNASKED_BATCHES 8
#define DRAINS_TO_GROW 8

#if defined(__x86_64__)
#define RELAX() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ volatile("isb" ::: "memory")
#else
#define RELAX() ((void)0)
#endif

void turn_init(struct turn *turn, uint32_t most) {
  turn->most = most;
  turn->batch_most = 1;
  spin_init(&turn->spin);
}

void turn_clock(struct turn *turn) { turn->stats[STAT_NOW] = (double)clock_ns() / 1e6; }

// Busy poll: one message or none.
static uint32_t look_on(struct turn *turn, int *end) {
  uint64_t start = clock_ns(), now = start;
  uint64_t window = spin_window(&turn->spin, start);
  if (window == 0)
    return 0;
  if (loop_due(turn->loop, start)) {
    spin_interrupted(&turn->spin);
    return 0;
  }
  uint32_t count = 0;
  bool other_work = false;
  for (uint32_t i = 1; count == 0 && *end == SOURCE_ALIVE && now - start < window; i++) {
    for (int pause = 0; pause < 8; pause++)
      RELAX();
    // Whoever waits for this CPU may be the very client that is about to ask.
    sched_yield();
    count = turn->fill(turn, 1, end);
    now = clock_ns();
    if (count == 0 && i % SPINS_PER_LOOK == 0 && (loop_due(turn->loop, now) || loop_ready(turn->loop))) {
      other_work = true;
      spin_interrupted(&turn->spin);
      break;
    }
  }
  turn->stats[STAT_SPINS]++;
  turn->stats[STAT_SPIN_NS] += (double)(now - start);
  if (count > 0) {
    turn->stats[STAT_SPIN_HITS]++;
    spin_hit(&turn->spin, now);
  } else if (!other_work && *end == SOURCE_ALIVE) {
    spin_miss(&turn->spin, now);
  }
  return count;
}

// Other work of the loop goes first; what was left to read wakes us again.
static bool must_yield(struct turn *turn, uint64_t *looked_at) {
  uint64_t now = clock_ns();
  if (loop_due(turn->loop, now))
    return true;
  if (now - *looked_at < TURN_NS)
    return false;
  *looked_at = now;
  // Timers that handlers start count from the loop's time.
  turn->loop->update_time(turn->loop->uv);
  return loop_ready(turn->loop);
}

// Messages that keep waiting while we answer mean a queue: fewer entries into JS are worth a longer drain. A single
// client that is quick to ask again must not cost a second read each time, so it takes a row of messages to begin with.
static void adapt_batch(struct turn *turn, uint32_t count) {
  if (count < turn->batch_most) {
    turn->full_drains = 0;
    if (count <= turn->batch_most / 2 && turn->batch_most > 1)
      turn->batch_most /= 2;
  } else if ((turn->batch_most > 1 || ++turn->full_drains >= DRAINS_TO_GROW) && turn->batch_most < turn->most) {
    turn->full_drains = 0;
    turn->batch_most *= 2;
  }
}

int turn_run(struct turn *turn) {
  uint64_t looked_at = clock_ns();
  turn->stats[STAT_WAKEUPS]++;
  spin_woken(&turn->spin, looked_at);
  for (bool after_batch = false; turn->started; after_batch = true) {
    int end = SOURCE_ALIVE;
    uint32_t count = turn->fill(turn, turn->batch_most, &end);
    if (after_batch)
      turn->found_again = count > 0;
    adapt_batch(turn, count);
    if (count == 0 && end == SOURCE_ALIVE)
      count = look_on(turn, &end);
    if (count > 0) {
      turn->stats[STAT_BATCHES]++;
      turn_clock(turn);
      turn->serve(turn, count);
    }
    if (count == 0 || !turn->started || end <= 0)
      return end;
    // Whoever shares the only CPU with us could not ask again while we answered: mostly leave the look to epoll.
    if (turn->spin.alone && !spin_crowded(&turn->spin) && !turn->found_again && ++turn->unasked % UNASKED_BATCHES != 0)
      break;
    if (must_yield(turn, &looked_at)) {
      spin_interrupted(&turn->spin);
      break;
    }
  }
  return SOURCE_ALIVE;
}
