// Reading: woken by libuv, drains the descriptor into slots, reports batches, and looks on for a while
// before going back to sleep. The first stop of every request.
#include "channel.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

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

int channel_init(struct channel *channel) {
  uint32_t count = channel->slot_count;
  channel->free = malloc(sizeof *channel->free * count);
  channel->taken = calloc(count, sizeof *channel->taken);
  if (channel->free == NULL || channel->taken == NULL)
    return -ENOMEM;
  // The last one freed is the next one filled, while its memory is still in the cache.
  for (uint32_t i = 0; i < count; i++)
    channel->free[i] = count - 1 - i;
  channel->free_count = count;
  channel->batch_most = 1;
  spin_init(&channel->spin);
  return -pthread_mutex_init(&channel->fd_lock, NULL);
}

static ssize_t next_message(struct channel *channel, uint8_t *memory) {
  size_t held = guard_take(channel->guard, memory);
  return held > 0 ? (ssize_t)held : read(channel->fd, memory, channel->slot_size);
}

// Reads up to `most` messages. *end: 1 while the channel lives, else 0 at the end of the stream or -errno.
static uint32_t fill(struct channel *channel, uint32_t most, int *end) {
  uint32_t count = 0;
  guard_enter(channel->guard);
  while (count < most && channel->free_count > 0) {
    uint32_t slot = channel->free[channel->free_count - 1];
    ssize_t length = next_message(channel, channel->memory + slot * channel->slot_size);
    if (length <= 0) {
      // Kernel: ENOENT means that the request at hand was interrupted while it was being copied.
      if (length < 0 && (errno == EINTR || errno == ENOENT))
        continue;
      if (length == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        *end = length == 0 ? 0 : -errno;
      break;
    }
    channel->free_count--;
    channel->taken[slot] = true;
    channel->slots[count] = (int32_t)slot;
    channel->lengths[count] = (int32_t)length;
    count++;
  }
  guard_leave(channel->guard);
  channel->stats[STAT_REQUESTS] += count;
  return count;
}

void channel_clock(struct channel *channel) { channel->stats[STAT_NOW] = (double)clock_ns() / 1e6; }

// Busy poll: one message or none.
static uint32_t look_on(struct channel *channel, int *end) {
  uint64_t start = clock_ns(), now = start;
  uint64_t window = spin_window(&channel->spin, start);
  if (window == 0)
    return 0;
  if (loop_due(channel->loop, start)) {
    spin_interrupted(&channel->spin);
    return 0;
  }
  uint32_t count = 0;
  bool other_work = false;
  for (uint32_t i = 1; count == 0 && *end == 1 && now - start < window; i++) {
    for (int pause = 0; pause < 8; pause++)
      RELAX();
    count = fill(channel, 1, end);
    now = clock_ns();
    if (count == 0 && i % SPINS_PER_LOOK == 0 && (loop_due(channel->loop, now) || loop_ready(channel->loop))) {
      other_work = true;
      spin_interrupted(&channel->spin);
      break;
    }
  }
  channel->stats[STAT_SPINS]++;
  channel->stats[STAT_SPIN_NS] += (double)(now - start);
  if (count > 0) {
    channel->stats[STAT_SPIN_HITS]++;
    spin_hit(&channel->spin, now);
  } else if (!other_work && *end == 1) {
    spin_miss(&channel->spin, now);
  }
  return count;
}

// JS says which slots it needs no more by complementing their entries: cheaper than a call for each.
static void take_back(struct channel *channel, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (channel->slots[i] < 0)
      channel_release(channel, (uint32_t)~channel->slots[i]);
}

static void finish(struct channel *channel, int error) {
  channel_stop(channel);
  channel->on_end(channel, error);
}

// Other work of the loop goes first; what was left to read wakes us again.
static bool must_yield(struct channel *channel, uint64_t *looked_at) {
  uint64_t now = clock_ns();
  if (loop_due(channel->loop, now))
    return true;
  if (now - *looked_at < TURN_NS)
    return false;
  *looked_at = now;
  // Timers that handlers start count from the loop's time.
  channel->loop->update_time(channel->loop->uv);
  return loop_ready(channel->loop);
}

// Messages that keep waiting while we answer mean a queue: fewer entries into JS are worth a longer drain. A single
// client that is quick to ask again must not cost a second read each time, so it takes a row of messages to begin with.
static void adapt_batch(struct channel *channel, uint32_t count) {
  if (count < channel->batch_most) {
    channel->full_drains = 0;
    if (count <= channel->batch_most / 2 && channel->batch_most > 1)
      channel->batch_most /= 2;
  } else if ((channel->batch_most > 1 || ++channel->full_drains >= DRAINS_TO_GROW) &&
             channel->batch_most < channel->slot_count) {
    channel->full_drains = 0;
    channel->batch_most *= 2;
  }
}

static void read_on(struct channel *channel) {
  uint64_t looked_at = clock_ns();
  spin_woken(&channel->spin, looked_at);
  for (bool after_batch = false; channel->started; after_batch = true) {
    int end = 1;
    uint32_t count = fill(channel, channel->batch_most, &end);
    if (after_batch)
      channel->found_again = count > 0;
    adapt_batch(channel, count);
    if (count == 0 && end == 1 && channel->free_count > 0)
      count = look_on(channel, &end);
    if (count > 0) {
      channel->stats[STAT_BATCHES]++;
      channel_clock(channel);
      channel->on_batch(channel, count);
      take_back(channel, count);
    }
    if (end != 1 && channel->started)
      finish(channel, end);
    if (count == 0 || !channel->started)
      return;
    // Whoever shares the only CPU with us could not ask again while we answered: mostly leave the look to epoll.
    if (channel->spin.alone && !channel->found_again && ++channel->unasked % UNASKED_BATCHES != 0)
      return;
    if (must_yield(channel, &looked_at)) {
      spin_interrupted(&channel->spin);
      return;
    }
  }
}

void channel_turn(struct channel *channel, int status) {
  channel->stats[STAT_WAKEUPS]++;
  channel->in_turn = true;
  read_on(channel);
  channel->in_turn = false;
  if (!channel->started)
    return;
  if (status < 0) {
    // libuv stopped watching: the descriptor is in error, yet a read finds nothing wrong.
    finish(channel, status);
  } else if (channel->free_count == 0) {
    channel->starved = true;
    channel->stats[STAT_SLOT_WAITS]++;
    channel->loop->poll_stop(channel->poll);
  } else if (guard_holds(channel->guard)) {
    // No descriptor tells of these.
    channel->wake(channel);
  }
}

int channel_start(struct channel *channel) {
  struct loop *loop = channel->loop;
  if (channel->fd < 0)
    return -EBADF;
  if (channel->started)
    return 0;
  if (channel->poll == NULL) {
    void *poll = malloc(loop->handle_size(loop->type_poll));
    int error = poll == NULL ? -ENOMEM : loop->poll_init(loop->uv, poll, channel->fd);
    if (error != 0) {
      free(poll);
      return error;
    }
    handle_set_data(poll, channel);
    channel->poll = poll;
  }
  channel->started = true;
  channel->starved = channel->free_count == 0;
  if (guard_holds(channel->guard))
    channel->wake(channel);
  return channel->starved ? 0 : loop->poll_start(channel->poll, LOOP_READABLE, channel->on_poll);
}

int channel_release(struct channel *channel, uint32_t slot) {
  if (slot >= channel->slot_count || !channel->taken[slot])
    return -EINVAL;
  channel->taken[slot] = false;
  channel->free[channel->free_count++] = slot;
  if (channel->starved && !channel->in_turn) {
    channel->starved = false;
    if (guard_holds(channel->guard))
      channel->wake(channel);
    return channel->loop->poll_start(channel->poll, LOOP_READABLE, channel->on_poll);
  }
  return 0;
}

void channel_stop(struct channel *channel) {
  channel->started = false;
  channel->starved = false;
  if (channel->poll != NULL)
    channel->loop->poll_stop(channel->poll);
}

void channel_close(struct channel *channel, loop_close_cb closed, void *data) {
  channel_stop(channel);
  // Its thread uses the descriptor.
  guard_free(channel->guard);
  channel->guard = NULL;
  // libuv must let go of the descriptor's number before somebody else gets it.
  if (channel->poll != NULL) {
    handle_set_data(channel->poll, data);
    channel->loop->close(channel->poll, closed);
    channel->poll = NULL;
  }
  pthread_mutex_lock(&channel->fd_lock);
  if (channel->fd >= 0)
    close(channel->fd);
  channel->fd = -1;
  pthread_mutex_unlock(&channel->fd_lock);
}

void channel_free(struct channel *channel) {
  pthread_mutex_destroy(&channel->fd_lock);
  free(channel->free);
  free(channel->taken);
  free(channel->scratch);
  free(channel);
}
