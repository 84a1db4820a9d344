// Glue of the replies: bytes of JS to the channel, and READ replies made from a descriptor, in place or by the pool.
#include "channel_js.h"

#include <errno.h>
#include <stdlib.h>

// values: bytes, offset, length.
static const void *bytes_at(napi_env env, const napi_value *values, size_t *length) {
  napi_typedarray_type type;
  size_t size;
  void *bytes;
  int64_t offset, wanted;
  if (napi_get_typedarray_info(env, values[0], &type, &size, &bytes, NULL, NULL) != napi_ok ||
      type != napi_uint8_array || napi_get_value_int64(env, values[1], &offset) != napi_ok ||
      napi_get_value_int64(env, values[2], &wanted) != napi_ok || offset < 0 || wanted < 0 ||
      (uint64_t)offset > size || (uint64_t)wanted > size - (uint64_t)offset) {
    addon_throw(env, "expected a Uint8Array with an offset and a length inside it");
    return NULL;
  }
  *length = (size_t)wanted;
  // An empty array may have no address.
  return bytes == NULL ? "" : (const char *)bytes + offset;
}

napi_value channel_send_bytes(napi_env env, napi_callback_info info) {
  napi_value values[3];
  size_t length;
  struct channel_object *object = channel_method(env, info, 3, values);
  const void *bytes = object == NULL ? NULL : bytes_at(env, values, &length);
  return bytes == NULL ? NULL : int_value(env, channel_send(&object->channel, bytes, length));
}

napi_value channel_send_parts(napi_env env, napi_callback_info info) {
  napi_value values[6];
  size_t head_length, body_length;
  struct channel_object *object = channel_method(env, info, 6, values);
  const void *head = object == NULL ? NULL : bytes_at(env, values, &head_length);
  const void *body = head == NULL ? NULL : bytes_at(env, values + 3, &body_length);
  return body == NULL ? NULL : int_value(env, channel_sendv(&object->channel, head, head_length, body, body_length));
}

struct reply_job {
  struct read_reply read; // first: its first member is the job
  napi_deferred promise;
};

static void reply_job_drop(struct job *job) {
  free(((struct reply_job *)job)->read.buffer);
  free(job);
}

static void reply_job_done(struct job *job) {
  struct reply_job *self = (struct reply_job *)job;
  struct channel_object *object = object_of(self->read.channel);
  struct addon *addon = object->addon;
  uint32_t count;
  object->channel.turn.stats[job->result >= 0 ? STAT_REPLIES : STAT_REPLY_ERRORS]++;
  turn_clock(&object->channel.turn);
  napi_resolve_deferred(addon->env, self->promise, int_value(addon->env, (int)job->result));
  napi_reference_unref(addon->env, object->self, &count);
  addon_job_done(addon);
  reply_job_drop(job);
}

static int reply_job_submit(struct channel_object *object, const struct read_reply *read, napi_deferred promise) {
  uint32_t count;
  struct reply_job *self = malloc(sizeof *self);
  if (self == NULL)
    return -ENOMEM;
  *self = (struct reply_job){.read = *read, .promise = promise};
  self->read.job = (struct job){.run = channel_reply_by_pool, .done = reply_job_done, .drop = reply_job_drop};
  self->read.buffer = malloc(read->size > 0 ? read->size : 1);
  int error = self->read.buffer == NULL ? -ENOMEM : addon_submit(object->addon, &self->read.job);
  if (error != 0) {
    reply_job_drop(&self->read.job);
    return error;
  }
  object->channel.turn.stats[STAT_READS_BY_POOL]++;
  napi_reference_ref(object->addon->env, object->self, &count);
  return 0;
}

// values: unique, fd, offset, size, sync.
static bool read_request(napi_env env, const napi_value *values, struct read_reply *read, bool *sync) {
  double unique;
  uint32_t size;
  if (napi_get_value_double(env, values[0], &unique) != napi_ok || !(unique > -0x1p53 && unique < 0x1p53) ||
      !addon_fd(env, values[1], &read->fd) ||
      !addon_integer(env, values[2], INT64_MIN, INT64_MAX, &read->offset) ||
      napi_get_value_uint32(env, values[3], &size) != napi_ok || size > INT32_MAX ||
      napi_get_value_bool(env, values[4], sync) != napi_ok)
    return false;
  // Kernel: bit 63 marks a request that was sent again, and its answer.
  read->unique = unique < 0 ? (uint64_t)-unique | UINT64_C(1) << 63 : (uint64_t)unique;
  read->size = size;
  return true;
}

napi_value channel_send_from_fd(napi_env env, napi_callback_info info) {
  napi_value values[5], promise;
  napi_deferred deferred;
  bool sync;
  struct channel_object *object = channel_method(env, info, 5, values);
  if (object == NULL)
    return NULL;
  struct read_reply read = {.channel = &object->channel};
  if (!read_request(env, values, &read, &sync))
    return addon_throw(env, "sendFromFd takes unique, fd, offset, size and sync");
  int64_t result = channel_reply_in_place(&object->channel, &read, sync);
  if (result != -EAGAIN)
    return int_value(env, (int)result);
  if (napi_create_promise(env, &deferred, &promise) != napi_ok)
    return NULL;
  int error = reply_job_submit(object, &read, deferred);
  // Without a thread the request is answered all the same.
  if (error != 0)
    napi_resolve_deferred(env, deferred, int_value(env, (int)channel_reply_in_place(&object->channel, &read, true)));
  return promise;
}
