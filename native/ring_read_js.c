// Glue of READ answers that come from a descriptor: in place where the data is cached, else by the pool.
#include "ring_js.h"
#include "special.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// A READ from a descriptor whose data was not cached: read by the pool, answered by the loop's thread.
struct read_job {
  struct job job; // first
  struct ring_object *object;
  uint32_t entry;
  uint64_t request; // which the entry held
  struct read_reply read;
  napi_deferred promise;
};

static void read_job_run(struct job *job) {
  struct read_reply *read = &((struct read_job *)job)->read;
  pool_cancellable();
  job->result = pread_all(read->fd, read->buffer, read->size, read->offset);
  pool_not_cancellable();
}

static void read_job_drop(struct job *job) {
  free(((struct read_job *)job)->read.buffer);
  free(job);
}

// Bytes sent, or the -errno that the request was answered with.
static int64_t answer_read(struct ring_object *object, uint32_t entry, int64_t length) {
  const struct ring_answer answer = {.entry = (int32_t)entry,
                                     .error = length < 0 ? (int32_t)length : 0,
                                     .length = length > 0 ? (uint32_t)length : 0};
  int error = object->ring.uring.fd < 0 ? -EBADF : ring_answer(&object->ring, &answer);
  turn_clock(&object->ring.turn);
  return error != 0 ? error : length;
}

static void read_job_done(struct job *job) {
  struct read_job *self = (struct read_job *)job;
  struct ring_object *object = self->object;
  struct addon *addon = object->addon;
  const struct ring_entry *entry = ring_held(&object->ring, self->entry);
  uint32_t count;
  int64_t result = -ENOENT;
  // Interrupted meanwhile, the entry may hold another request by now.
  if (object->ring.uring.fd >= 0 && entry != NULL && ring_request(entry) == self->request) {
    if (job->result > 0)
      memcpy(entry->payload, self->read.buffer, (size_t)job->result);
    result = answer_read(object, self->entry, job->result);
  }
  napi_resolve_deferred(addon->env, self->promise, int_value(addon->env, (int)result));
  napi_reference_unref(addon->env, object->self, &count);
  addon_job_done(addon);
  read_job_drop(job);
}

static int read_job_submit(struct ring_object *object, uint32_t entry, const struct read_reply *read,
                           napi_deferred promise) {
  uint32_t count;
  struct read_job *self = malloc(sizeof *self);
  if (self == NULL)
    return -ENOMEM;
  *self = (struct read_job){.object = object, .entry = entry, .read = *read, .promise = promise};
  self->request = ring_request(&object->ring.entries[entry]);
  self->job = (struct job){.run = read_job_run, .done = read_job_done, .drop = read_job_drop};
  self->read.buffer = malloc(read->size > 0 ? read->size : 1);
  int error = self->read.buffer == NULL ? -ENOMEM : addon_submit(object->addon, &self->job);
  if (error != 0) {
    read_job_drop(&self->job);
    return error;
  }
  object->ring.turn.stats[STAT_READS_BY_POOL]++;
  napi_reference_ref(object->addon->env, object->self, &count);
  return 0;
}

napi_value ring_reply_from_fd(napi_env env, napi_callback_info info) {
  napi_value values[4], promise;
  napi_deferred deferred;
  uint32_t index, size;
  struct read_reply read = {0};
  struct ring_object *object = ring_method(env, info, 4, values);
  if (object == NULL)
    return NULL;
  if (napi_get_value_uint32(env, values[0], &index) != napi_ok ||
      !addon_fd(env, values[1], &read.fd) ||
      !addon_integer(env, values[2], INT64_MIN, INT64_MAX, &read.offset) ||
      napi_get_value_uint32(env, values[3], &size) != napi_ok)
    return addon_throw(env, "replyFromFd takes entry, fd, offset and size");
  const struct ring_entry *entry = ring_held(&object->ring, index);
  if (entry == NULL)
    return int_value(env, -ENOENT);
  read.size = size < entry->payload_size ? size : entry->payload_size;
  int64_t length = read_cached(&read, entry->payload);
  if (length >= 0) {
    object->ring.turn.stats[STAT_READS_IN_PLACE]++;
    return int_value(env, (int)answer_read(object, index, length));
  }
  // Whatever the reason (not cached, no RWF_NOWAIT in this filesystem), the plain read tells.
  if (napi_create_promise(env, &deferred, &promise) != napi_ok)
    return NULL;
  if (read_job_submit(object, index, &read, deferred) != 0) {
    length = pread_all(read.fd, entry->payload, read.size, read.offset);
    napi_resolve_deferred(env, deferred, int_value(env, (int)answer_read(object, index, length)));
  }
  return promise;
}
