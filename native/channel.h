// One message channel: a descriptor whose messages are read into slots, and the replies written to it.
#ifndef DEVFUSE_CHANNEL_H
#define DEVFUSE_CHANNEL_H

#include "guard.h"
#include "loop.h"
#include "pool.h"
#include "turn.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct channel {
  struct turn turn; // first: a channel is its turn
  int fd;           // -1: closed
  uint8_t *memory;
  size_t slot_size;
  uint32_t slot_count;
  int32_t *slots, *lengths; // slot_count entries each, belong to JS
  uint32_t *free;           // stack of free slots
  uint32_t free_count;
  bool *taken;
  bool in_turn;        // on the stack
  bool starved;        // no slot was free
  void *poll; // uv_poll_t, from the first start to close
  struct guard *guard; // or NULL
  pthread_mutex_t fd_lock; // close against writes of the pool
  uint8_t *scratch;        // for replies from descriptors
  size_t scratch_size;
  loop_poll_cb on_poll; // calls channel_turn
  void (*on_batch)(struct channel *channel, uint32_t count);
  void (*on_end)(struct channel *channel, int error);
  void (*wake)(struct channel *channel); // has channel_turn called soon
};

// channel.c: reading. 0 or -errno. channel_init needs fd, memory, sizes, turn.loop, the arrays of JS and the callbacks.
int channel_init(struct channel *channel);
int channel_start(struct channel *channel);
int channel_release(struct channel *channel, uint32_t slot);
void channel_stop(struct channel *channel);
// One turn of the loop: `status` and `poll` as libuv gave them.
void channel_turn(struct channel *channel, int status);
// `closed` gets the uv handle, if there is one, with `data` in it.
void channel_close(struct channel *channel, loop_close_cb closed, void *data);
void channel_free(struct channel *channel);

// reply.c: writing. 0 or -errno.
int channel_send(struct channel *channel, const void *bytes, size_t length);
int channel_sendv(struct channel *channel, const void *head, size_t head_length, const void *body, size_t body_length);
int channel_clone(const struct channel *channel);

struct read_reply {
  struct job job;
  struct channel *channel;
  uint64_t unique;
  int fd;
  int64_t offset;
  size_t size;
  uint8_t *buffer; // `size` bytes
};

// What is cached of it, into `buffer`: bytes or -errno.
int64_t read_cached(const struct read_reply *read, uint8_t *buffer);
// Answers a READ from what is cached, or with `block` in any case: bytes sent or -errno. -EAGAIN: it would block, nothing
// was sent.
int64_t channel_reply_in_place(struct channel *channel, struct read_reply *read, bool block);
// The same in a thread of the pool: the `run` of a read_reply.
void channel_reply_by_pool(struct job *job);

#endif
