// FUSE over io_uring: entries of all the kernel's queues on one io_uring, served by one thread.
#ifndef DEVFUSE_RING_H
#define DEVFUSE_RING_H

#include "turn.h"
#include "uring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Requests in one batch at the most.
#define RING_BATCH 16u
// Answers that JS can leave before it has to call ring_flush.
#define RING_ANSWERS 256u

enum entry_state {
  ENTRY_IN_KERNEL,
  ENTRY_HELD, // has a request that was not answered
  ENTRY_ENDED,
};

struct ring_entry {
  uint8_t *header; // RING_HEADER_SIZE bytes
  uint8_t *payload;
  uint32_t payload_size;
  uint16_t qid;
  uint8_t state;
};

struct ring_answer {
  int32_t entry, error;
  uint32_t length; // of the payload
};

// Shared with JS, which appends while `in_turn` or calls ring_flush afterwards.
struct ring_answers {
  uint32_t count, in_turn;
  struct ring_answer list[RING_ANSWERS];
};

struct ring {
  struct turn turn; // first: a ring is its turn
  struct uring uring;
  int device; // the connection's /dev/fuse, the caller's
  struct ring_entry *entries;
  uint32_t entry_count, entry_most;
  uint32_t in_kernel; // entries that the kernel may write to
  uint32_t ended;     // entries that it gave back for good
  int32_t *slots;     // RING_BATCH entries, belong to JS
  struct ring_answers *answers; // belong to JS
  void *poll;                   // uv_poll_t, from start to close
  loop_poll_cb on_poll;         // calls ring_turn
  void (*on_batch)(struct ring *ring, uint32_t count);
};

// Kernel: sizeof(struct fuse_uring_req_header).
#define RING_HEADER_SIZE 288u

struct ring_memory {
  uint8_t *bytes;
  uint32_t count;      // entries
  size_t entry_size;   // from one header to the next
  size_t payload_at;   // in an entry, to its end
};

// All return >= 0 or -errno. ring_open needs turn.loop, device, the arrays of JS and the callbacks.
int ring_open(struct ring *ring, uint32_t most_entries);
// Registers entries of queue `qid`, which must not be given away before ring_close says so. Returns the number of the first.
int ring_add(struct ring *ring, uint16_t qid, const struct ring_memory *memory);
int ring_start(struct ring *ring);
void ring_turn(struct ring *ring);
// The connection takes no entry of ours any more.
bool ring_lost(const struct ring *ring);
// Sends what JS has left in `answers`.
int ring_flush(struct ring *ring);
// Entry `index` if it holds a request, else NULL.
struct ring_entry *ring_held(const struct ring *ring, uint32_t index);
// The number of the request that the entry holds.
uint64_t ring_request(const struct ring_entry *entry);
// Answers one request whose payload is in place, at once unless in a turn.
int ring_answer(struct ring *ring, const struct ring_answer *answer);
// Has the kernel send `count` empty NOTIFY_REPLYs to the queue of `cpu`, the first with this unique, the next with two more.
// Kernel: `nodeid` must be a regular file. Returns how many.
int ring_kick(struct ring *ring, uint32_t cpu, uint64_t unique, uint64_t nodeid, uint32_t count);
// The answer to entry `index` has fetched another request at once: there was one waiting for an entry.
bool ring_fetched(const struct ring *ring, uint32_t index);
// Returns how many entries the kernel may still write to: then their memory must never be freed.
uint32_t ring_close(struct ring *ring, loop_close_cb closed, void *data);
void ring_free(struct ring *ring);

#endif
