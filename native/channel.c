// Reading: woken by libuv, drains the descriptor into slots and reports batches. The first stop of every request.
#include "channel.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static ssize_t next_message(struct channel *channel, uint8_t *memory) {
  size_t held = guard_take(channel->guard, memory);
  return held > 0 ? (ssize_t)held : read(channel->fd, memory, channel->slot_size);
}

static uint32_t fill(struct turn *turn, uint32_t most, int *end) {
  struct channel *channel = (struct channel *)turn;
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
    turn_heard(turn, channel->memory + slot * channel->slot_size, (size_t)length);
    count++;
  }
  guard_leave(channel->guard);
  if (count == 0 && channel->free_count == 0)
    *end = SOURCE_FULL;
  turn->stats[STAT_REQUESTS] += count;
  return count;
}

// JS says which slots it needs no more by complementing their entries: cheaper than a call for each.
static void take_back(struct channel *channel, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (channel->slots[i] < 0)
      channel_release(channel, (uint32_t)~channel->slots[i]);
}

static void serve(struct turn *turn, uint32_t count) {
  struct channel *channel = (struct channel *)turn;
  channel->on_batch(channel, count);
  take_back(channel, count);
}

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
  channel->turn.fill = fill;
  channel->turn.serve = serve;
  turn_init(&channel->turn, count);
  return -pthread_mutex_init(&channel->fd_lock, NULL);
}

static void finish(struct channel *channel, int error) {
  channel_stop(channel);
  channel->on_end(channel, error);
}

void channel_turn(struct channel *channel, int status) {
  channel->in_turn = true;
  int end = turn_run(&channel->turn);
  channel->in_turn = false;
  if (!channel->turn.started)
    return;
  if (end <= 0) {
    finish(channel, end);
  } else if (status < 0) {
    // libuv stopped watching: the descriptor is in error, yet a read finds nothing wrong.
    finish(channel, status);
  } else if (channel->free_count == 0) {
    channel->starved = true;
    channel->turn.stats[STAT_SLOT_WAITS]++;
    channel->turn.loop->poll_stop(channel->poll);
  } else if (guard_holds(channel->guard)) {
    // No descriptor tells of these.
    channel->wake(channel);
  }
}

int channel_start(struct channel *channel) {
  struct loop *loop = channel->turn.loop;
  if (channel->fd < 0)
    return -EBADF;
  if (channel->turn.started)
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
  channel->turn.started = true;
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
    return channel->turn.loop->poll_start(channel->poll, LOOP_READABLE, channel->on_poll);
  }
  return 0;
}

void channel_stop(struct channel *channel) {
  channel->turn.started = false;
  channel->starved = false;
  if (channel->poll != NULL)
    channel->turn.loop->poll_stop(channel->poll);
}

void channel_close(struct channel *channel, loop_close_cb closed, void *data) {
  channel_stop(channel);
  // Its thread uses the descriptor.
  guard_free(channel->guard);
  channel->guard = NULL;
  // libuv must let go of the descriptor's number before somebody else gets it.
  if (channel->poll != NULL) {
    handle_set_data(channel->poll, data);
    channel->turn.loop->close(channel->poll, closed);
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
