// Glue of the channel: the class `Channel`, its life, its arrays shared with JS, and the way into onBatch and onEnd.
#include "channel_js.h"
#include "special.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void call_js(struct channel_object *object, napi_ref callback, int argument) {
  if (!addon_call(object->addon, object->self, callback, argument))
    channel_stop(&object->channel);
}

static void on_batch(struct channel *channel, uint32_t count) {
  call_js(object_of(channel), object_of(channel)->batch_callback, (int)count);
}

static void on_end(struct channel *channel, int error) {
  call_js(object_of(channel), object_of(channel)->end_callback, error);
}

// Being started keeps the object alive, whatever JS still knows of it.
static void hold_while_started(struct channel_object *object) {
  uint32_t count;
  if (object->channel.turn.started == object->held)
    return;
  object->held = object->channel.turn.started;
  if (object->held)
    napi_reference_ref(object->addon->env, object->self, &count);
  else
    napi_reference_unref(object->addon->env, object->self, &count);
}

static void on_poll(void *handle, int status, int events) {
  (void)events;
  channel_object_turn(handle_data(handle), status);
}

void channel_object_turn(struct channel_object *object, int status) {
  napi_env env = object->addon->env;
  napi_handle_scope scope;
  napi_value self;
  if (napi_open_handle_scope(env, &scope) != napi_ok)
    return;
  // Whatever the callbacks do, the object stays until the turn is over.
  napi_get_reference_value(env, object->self, &self);
  channel_turn(&object->channel, status);
  hold_while_started(object);
  napi_close_handle_scope(env, scope);
}

static void unlink_object(struct channel_object *object) {
  struct channel_object **link = &object->addon->channels;
  while (*link != NULL && *link != object)
    link = &(*link)->next;
  if (*link == object)
    *link = object->next;
}

static void object_free(napi_env env, void *data, void *hint) {
  struct channel_object *object = data;
  (void)hint;
  channel_close(&object->channel, addon_handle_closed, object->addon);
  unlink_object(object);
  napi_ref refs[] = {object->self, object->memory, object->arrays, object->batch_callback, object->end_callback, object->guard_callback};
  for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++)
    if (refs[i] != NULL)
      napi_delete_reference(env, refs[i]);
  free(object->mounted_at);
  if (!object->addon->stuck)
    channel_free(&object->channel);
}

void channel_objects_close(struct addon *addon) {
  for (struct channel_object *object = addon->channels; object != NULL; object = object->next) {
    // A terminated worker runs no JS any more that could unmount.
    if (object->channel.fd >= 0 && object->mounted_at != NULL)
      special_detach(object->mounted_at, object->minor);
    channel_close(&object->channel, addon_handle_closed, addon);
  }
}

// One ArrayBuffer for the three arrays of the object: stats, slots, lengths.
static napi_status make_arrays(napi_env env, napi_value self, struct channel_object *object) {
  struct channel *channel = &object->channel;
  size_t stats_size = STAT_COUNT * sizeof(double), slots_size = channel->slot_count * sizeof(int32_t);
  napi_value buffer, stats, slots, lengths;
  void *memory;
  napi_status status = napi_create_arraybuffer(env, stats_size + 2 * slots_size, &memory, &buffer);
  if (status != napi_ok)
    return status;
  memset(memory, 0, stats_size + 2 * slots_size);
  channel->turn.stats = memory;
  channel->slots = (int32_t *)((char *)memory + stats_size);
  channel->lengths = channel->slots + channel->slot_count;
  napi_create_reference(env, buffer, 1, &object->arrays);
  napi_create_typedarray(env, napi_float64_array, STAT_COUNT, buffer, 0, &stats);
  napi_create_typedarray(env, napi_int32_array, channel->slot_count, buffer, stats_size, &slots);
  napi_create_typedarray(env, napi_int32_array, channel->slot_count, buffer, stats_size + slots_size, &lengths);
  const napi_property_descriptor arrays[] = {
      {.utf8name = "stats", .value = stats, .attributes = napi_enumerable},
      {.utf8name = "slots", .value = slots, .attributes = napi_enumerable},
      {.utf8name = "lengths", .value = lengths, .attributes = napi_enumerable},
  };
  return napi_define_properties(env, self, 3, arrays);
}

static bool read_construction(napi_env env, const napi_value *values, struct channel *channel) {
  uint32_t slot_size, slot_count;
  void *memory;
  size_t length;
  napi_valuetype batch, end;
  if (!addon_fd(env, values[0], &channel->fd) ||
      napi_get_arraybuffer_info(env, values[1], &memory, &length) != napi_ok ||
      napi_get_value_uint32(env, values[2], &slot_size) != napi_ok ||
      napi_get_value_uint32(env, values[3], &slot_count) != napi_ok ||
      napi_typeof(env, values[4], &batch) != napi_ok || napi_typeof(env, values[5], &end) != napi_ok)
    return false;
  channel->memory = memory;
  channel->slot_size = slot_size;
  channel->slot_count = slot_count;
  return channel->fd >= 0 && slot_size > 0 && slot_count > 0 && slot_count <= length / slot_size && batch == napi_function &&
         end == napi_function;
}

static napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 6;
  napi_value values[6], self;
  napi_get_cb_info(env, info, &count, values, &self, NULL);
  struct channel_object *object = calloc(1, sizeof *object);
  if (object == NULL)
    return addon_throw(env, "out of memory");
  struct channel *channel = &object->channel;
  object->addon = addon_of(env);
  if (count < 6 || !read_construction(env, values, channel)) {
    free(object);
    return addon_throw(env, "Channel takes fd, memory (ArrayBuffer of slotSize * slotCount), slotSize, slotCount, "
                            "onBatch and onEnd");
  }
  channel->turn.loop = &object->addon->loop;
  channel->on_poll = on_poll;
  channel->on_batch = on_batch;
  channel->on_end = on_end;
  channel->wake = channel_wake;
  if (channel_init(channel) != 0 || make_arrays(env, self, object) != napi_ok ||
      napi_wrap(env, self, object, object_free, NULL, &object->self) != napi_ok) {
    channel->fd = -1; // still the caller's
    channel_free(channel);
    return addon_throw(env, "the channel could not be made");
  }
  napi_create_reference(env, values[1], 1, &object->memory);
  napi_create_reference(env, values[4], 1, &object->batch_callback);
  napi_create_reference(env, values[5], 1, &object->end_callback);
  object->next = object->addon->channels;
  object->addon->channels = object;
  return self;
}

struct channel_object *channel_method(napi_env env, napi_callback_info info, size_t count, napi_value *values) {
  size_t given = count;
  napi_value self;
  void *object = NULL;
  if (napi_get_cb_info(env, info, &given, values, &self, NULL) != napi_ok ||
      napi_unwrap(env, self, &object) != napi_ok) {
    addon_throw(env, "not a Channel");
    return NULL;
  }
  if (given < count) {
    addon_throw(env, "missing arguments");
    return NULL;
  }
  return object;
}

static napi_value get_fd(napi_env env, napi_callback_info info) {
  struct channel_object *object = channel_method(env, info, 0, NULL);
  return object == NULL ? NULL : int_value(env, object->channel.fd);
}

static napi_value start(napi_env env, napi_callback_info info) {
  struct channel_object *object = channel_method(env, info, 0, NULL);
  if (object == NULL)
    return NULL;
  if (!object->addon->has_loop) {
    napi_throw_error(env, "ERR_DEVFUSE_UNSUPPORTED", "devfuse needs a runtime with libuv: Node or Electron");
    return NULL;
  }
  bool had_handle = object->channel.poll != NULL;
  int error = channel_start(&object->channel);
  object->addon->uv_handles += object->channel.poll != NULL && !had_handle;
  hold_while_started(object);
  if (error == -EBADF)
    napi_throw_error(env, "EBADF", "the channel is closed, or its descriptor is not open");
  else if (error != 0)
    napi_throw_error(env, "ERR_DEVFUSE_ADDON", "the channel's descriptor cannot be watched");
  return NULL;
}

static napi_value stop(napi_env env, napi_callback_info info) {
  struct channel_object *object = channel_method(env, info, 0, NULL);
  if (object == NULL)
    return NULL;
  channel_stop(&object->channel);
  hold_while_started(object);
  return NULL;
}

static napi_value close_channel(napi_env env, napi_callback_info info) {
  struct channel_object *object = channel_method(env, info, 0, NULL);
  if (object == NULL)
    return NULL;
  channel_end_guard(object);
  channel_close(&object->channel, addon_handle_closed, object->addon);
  hold_while_started(object);
  // The callbacks know their session, which knows the channel: without this neither would ever go.
  if (object->batch_callback != NULL)
    napi_delete_reference(env, object->batch_callback);
  if (object->end_callback != NULL)
    napi_delete_reference(env, object->end_callback);
  object->batch_callback = object->end_callback = NULL;
  return NULL;
}

static napi_value release(napi_env env, napi_callback_info info) {
  napi_value value;
  uint32_t slot;
  struct channel_object *object = channel_method(env, info, 1, &value);
  if (object == NULL)
    return NULL;
  if (napi_get_value_uint32(env, value, &slot) != napi_ok || channel_release(&object->channel, slot) == -EINVAL)
    return addon_throw(env, "no slot that is taken");
  return NULL;
}

static napi_value set_busy_poll(napi_env env, napi_callback_info info) {
  napi_value value;
  struct channel_object *object = channel_method(env, info, 1, &value);
  return object == NULL ? NULL : addon_set_busy_poll(env, value, &object->channel.turn.spin);
}

static napi_value clone_fd(napi_env env, napi_callback_info info) {
  struct channel_object *object = channel_method(env, info, 0, NULL);
  return object == NULL ? NULL : int_value(env, channel_clone(&object->channel));
}

// values: path, minor.
static napi_value detach_at_exit(napi_env env, napi_callback_info info) {
  napi_value values[2];
  size_t length;
  uint32_t minor;
  struct channel_object *object = channel_method(env, info, 2, values);
  if (object == NULL)
    return NULL;
  if (napi_get_value_string_utf8(env, values[0], NULL, 0, &length) != napi_ok ||
      napi_get_value_uint32(env, values[1], &minor) != napi_ok)
    return addon_throw(env, "detachAtExit takes a path and a minor device number");
  char *path = malloc(length + 1);
  if (path == NULL)
    return addon_throw(env, "out of memory");
  napi_get_value_string_utf8(env, values[0], path, length + 1, &length);
  free(object->mounted_at);
  object->mounted_at = path;
  object->minor = minor;
  return NULL;
}

napi_status define_channel(napi_env env, napi_value exports) {
  const napi_property_descriptor members[] = {
      {.utf8name = "fd", .getter = get_fd, .attributes = napi_enumerable},
      {.utf8name = "start", .method = start},
      {.utf8name = "stop", .method = stop},
      {.utf8name = "close", .method = close_channel},
      {.utf8name = "release", .method = release},
      {.utf8name = "send", .method = channel_send_bytes},
      {.utf8name = "sendv", .method = channel_send_parts},
      {.utf8name = "sendFromFd", .method = channel_send_from_fd},
      {.utf8name = "setBusyPoll", .method = set_busy_poll},
      {.utf8name = "clone", .method = clone_fd},
      {.utf8name = "guard", .method = channel_guard},
      {.utf8name = "detachAtExit", .method = detach_at_exit},
  };
  napi_value constructor;
  napi_status status = napi_define_class(env, "Channel", NAPI_AUTO_LENGTH, construct, NULL,
                                         sizeof members / sizeof members[0], members, &constructor);
  return status == napi_ok ? napi_set_named_property(env, exports, "Channel", constructor) : status;
}
