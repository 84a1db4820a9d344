// The adaptive window of the busy poll, from what the last gaps between messages were.
#include "spin.h"

#include <sched.h>

#define US 1000u
#define MS 1000000u
#define SHORTEST_PAUSE MS
#define SHORT_PAUSE (8u * MS)
#define LONGEST_PAUSE (512u * MS)
#define MISSES_BEFORE_MUTE 3
#define CROWD_GAP (64u * US)

void spin_init(struct spin *spin) {
  *spin = (struct spin){.max = 200u * US, .gap = 15u * US, .pause = SHORTEST_PAUSE};
}

static bool has_one_cpu(void) {
  cpu_set_t set;
  // A machine with more CPUs than the set has bits answers EINVAL: not alone.
  return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1;
}

static void learn(struct spin *spin, uint64_t gap) {
  uint64_t most = 4 * spin->max;
  spin->gap = (3 * spin->gap + (gap < most ? gap : most)) / 4;
}

// A crowd that asks so often that it keeps the only CPU busy.
static bool is_busy_crowd(const struct spin *spin, uint64_t gap) {
  return spin->alone && spin_crowded(spin) && gap < CROWD_GAP;
}

uint64_t spin_window(struct spin *spin, uint64_t now) {
  spin->dry_since = now;
  spin->missed = false;
  if (spin->max == 0)
    return 0;
  if (spin->cpus_at == 0 || now - spin->cpus_at > 1000u * (uint64_t)MS) {
    spin->cpus_at = now;
    spin->alone = has_one_cpu();
  }
  if (now < spin->muted_until || spin->gap > spin->max)
    return 0;
  // Kernel: woken, this thread takes its only CPU at once while it has used less of it than it may, and so each request of a crowd
  // costs a wake-up. Looking on, which gives way, uses that up: then the others run, and their requests queue.
  if (spin->alone)
    return is_busy_crowd(spin, spin->gap) ? spin->max : 0;
  // A wake-up costs more than the time it takes a client that was held up to ask again.
  uint64_t window = 4 * spin->gap + 60 * US;
  return window < spin->max ? window : spin->max;
}

void spin_heard(struct spin *spin, uint32_t pid) {
  if (pid == 0)
    return;
  if (pid == spin->callers[0] || pid == spin->callers[1]) {
    spin->strangers -= (spin->strangers + 15) / 16;
  } else {
    spin->strangers += (256 - spin->strangers) / 16;
    spin->callers[1] = spin->callers[0];
    spin->callers[0] = pid;
  }
}

static void miss(struct spin *spin, uint64_t now, uint32_t tolerated) {
  spin->missed = true;
  spin->hits = 0;
  if (++spin->misses < tolerated)
    return;
  // The next miss mutes again at once, for twice as long.
  spin->misses = MISSES_BEFORE_MUTE - 1;
  spin->muted_until = now + spin->pause;
  spin->pause = spin->pause * 2 < LONGEST_PAUSE ? spin->pause * 2 : LONGEST_PAUSE;
}

void spin_miss(struct spin *spin, uint64_t now) { miss(spin, now, MISSES_BEFORE_MUTE); }

void spin_hit(struct spin *spin, uint64_t now) {
  uint64_t gap = now - spin->dry_since;
  // Somebody computes on our only CPU: giving way gave a whole slice away, and sleeping would have been quicker.
  if (spin->alone && gap > spin->max) {
    miss(spin, now, 1);
    return;
  }
  learn(spin, gap);
  spin->misses = 0;
  if (++spin->hits >= 4)
    spin->pause = SHORTEST_PAUSE;
}

void spin_interrupted(struct spin *spin) { spin->dry_since = 0; }

void spin_woken(struct spin *spin, uint64_t now) {
  // A gap in which we looked on says little: a client on our own CPU could not even run.
  if (spin->dry_since == 0 || spin->missed)
    return;
  uint64_t gap = now - spin->dry_since;
  learn(spin, gap);
  // Looking on would have met this one, whatever came of it before; but not where that happens again and again.
  if (is_busy_crowd(spin, gap) && spin->pause <= SHORT_PAUSE)
    spin->muted_until = 0;
}
