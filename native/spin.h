// How long to look on for the next message before going to sleep. Waking a sleeping thread on another
// CPU costs about 50 us, more than the whole request; looking on for ever costs the CPU.
#ifndef DEVFUSE_SPIN_H
#define DEVFUSE_SPIN_H

#include <stdbool.h>
#include <stdint.h>

// Never longer in one go.
#define SPIN_MOST_US 1000u

struct spin {
  uint64_t max;         // ns; 0 = off
  uint64_t gap;         // ns between running dry and the next message, a moving average
  uint64_t dry_since;   // when the channel ran dry
  uint64_t muted_until; // after misses in a row
  uint64_t pause;       // how long the next mute lasts
  uint64_t cpus_at;     // when `alone` was found out
  uint32_t misses, hits;
  uint32_t callers[2]; // the last two threads that asked
  uint32_t strangers;  // how often somebody else asked, a moving average: 256 = always
  bool missed; // looked on in vain since it ran dry
  bool alone;  // this thread has one CPU: whoever we wait for needs it
};

void spin_init(struct spin *spin);

// Nanoseconds to look on from `now`, when the channel ran dry; 0 = sleep at once.
uint64_t spin_window(struct spin *spin, uint64_t now);

// A request of this thread came. Kernel: 0 where nobody waits for the answer, or a process of another pid namespace does.
void spin_heard(struct spin *spin, uint32_t pid);

// Three threads or more ask in turns.
static inline bool spin_crowded(const struct spin *spin) { return spin->strangers > 128; }

void spin_hit(struct spin *spin, uint64_t now);
void spin_miss(struct spin *spin, uint64_t now);

// Left for other work: nobody knows how long the next message takes.
void spin_interrupted(struct spin *spin);

// A message came while asleep.
void spin_woken(struct spin *spin, uint64_t now);

#endif
