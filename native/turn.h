// One turn of the loop at a source of messages: batches that adapt to the queue, busy polling between them,
// and giving way to other work. Shared by the channel (read(2)) and the ring (io_uring).
#ifndef DEVFUSE_TURN_H
#define DEVFUSE_TURN_H

#include "in_header.h"
#include "loop.h"
#include "spin.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// The order is that of CHANNEL_STATS in src/native.ts.
enum source_stat {
  STAT_REQUESTS,
  STAT_BATCHES,
  STAT_WAKEUPS,
  STAT_SPINS,
  STAT_SPIN_HITS,
  STAT_SPIN_NS,
  STAT_REPLIES,
  STAT_REPLY_ERRORS,
  STAT_READS_IN_PLACE,
  STAT_READS_BY_POOL,
  STAT_SLOT_WAITS,
  STAT_NOW,
  STAT_COUNT,
};

// How a look at the source ended. Anything else is its end: 0 or -errno.
#define SOURCE_ALIVE 1
#define SOURCE_FULL 2 // alive, but there is no room for a message

struct turn {
  struct loop *loop;
  struct spin spin;
  double *stats;      // STAT_COUNT entries
  uint32_t most;      // messages in a batch at the most
  uint32_t batch_most; // grows to `most` while messages queue up
  uint32_t full_drains; // in a row
  uint32_t unasked;     // batches after which we did not look again
  bool found_again;     // the last look after a batch found a message
  bool started;         // cleared by whoever stops the source, also in the middle of a turn
  // Takes up to `most` messages; `end` is SOURCE_ALIVE before.
  uint32_t (*fill)(struct turn *turn, uint32_t most, int *end);
  void (*serve)(struct turn *turn, uint32_t count);
};

// Of every message that was taken.
static inline void turn_heard(struct turn *turn, const uint8_t *message, size_t length) {
  struct in_header header;
  if (length < sizeof header)
    return;
  memcpy(&header, message, sizeof header);
  spin_heard(&turn->spin, header.pid);
}

void turn_init(struct turn *turn, uint32_t most);

// Sets STAT_NOW.
void turn_clock(struct turn *turn);

// Serves until nothing is left, or other work of the loop waits. Returns how the last look ended.
int turn_run(struct turn *turn);

#endif
