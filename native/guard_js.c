// Glue of the guard: the method `guard`, its reports to JS, and turns that no descriptor calls for.
#include "channel_js.h"

#include <errno.h>
#include <limits.h>

static void give_report(struct channel_object *object, const struct guard_report *report) {
  napi_env env = object->addon->env;
  napi_handle_scope scope;
  napi_value self, function, values[3], result;
  if (napi_open_handle_scope(env, &scope) != napi_ok)
    return;
  bool called = napi_get_reference_value(env, object->self, &self) == napi_ok &&
                napi_get_reference_value(env, object->guard_callback, &function) == napi_ok &&
                napi_create_int32(env, (int32_t)report->verdict, &values[0]) == napi_ok &&
                napi_create_uint32(env, report->opcode, &values[1]) == napi_ok &&
                napi_create_int32(env, report->pid, &values[2]) == napi_ok &&
                napi_make_callback(env, object->addon->context, self, function, 3, values, &result) == napi_ok;
  if (!called)
    addon_report_exception(env);
  napi_close_handle_scope(env, scope);
}

static void give_reports(struct channel_object *object) {
  struct guard_report report;
  // The callback may end the guard.
  while (object->guard_callback != NULL && guard_next_report(object->channel.guard, &report))
    give_report(object, &report);
}

// From the guard's thread.
static void ring(void *owner) {
  struct channel_object *object = owner;
  object->addon->loop.async_send(object->addon->async);
}

void channel_wake(struct channel *channel) {
  struct channel_object *object = object_of(channel);
  object->called = true;
  ring(object);
}

// One whose turn it is, or NULL.
static struct channel_object *next_called(struct addon *addon) {
  for (struct channel_object *object = addon->channels; object != NULL; object = object->next) {
    bool by_guard = guard_called(object->channel.guard);
    if (!by_guard && !object->called)
      continue;
    object->called = false;
    return object;
  }
  return NULL;
}

void channels_called(struct addon *addon) {
  // What JS does meanwhile may change the list.
  for (struct channel_object *object; (object = next_called(addon)) != NULL;) {
    napi_handle_scope scope;
    napi_value self;
    if (napi_open_handle_scope(addon->env, &scope) != napi_ok)
      return;
    napi_get_reference_value(addon->env, object->self, &self);
    give_reports(object);
    if (object->channel.turn.started && !object->channel.starved)
      channel_object_turn(object, 0);
    napi_close_handle_scope(addon->env, scope);
  }
}

void channel_end_guard(struct channel_object *object) {
  guard_stop(object->channel.guard);
  give_reports(object);
  if (object->guard_callback != NULL)
    napi_delete_reference(object->addon->env, object->guard_callback);
  object->guard_callback = NULL;
}

static int begin_guard(struct channel_object *object, napi_value callback, const char *mount_point) {
  struct channel *channel = &object->channel;
  struct guarded guarded = {.fd = channel->fd,
                            .backend_fd = channel->turn.loop->backend_fd,
                            .message_size = channel->slot_size,
                            .mount_point = mount_point[0] == '\0' ? NULL : mount_point,
                            .wake = ring,
                            .owner = object};
  if (channel->fd < 0 || channel->guard != NULL)
    return channel->fd < 0 ? -EBADF : -EALREADY;
  int error = addon_hang_bell(object->addon);
  if (error == 0)
    error = guard_start(&channel->guard, &guarded);
  if (error == 0)
    napi_create_reference(object->addon->env, callback, 1, &object->guard_callback);
  return error;
}

// values: callback, or null; mount point, or an empty string.
napi_value channel_guard(napi_env env, napi_callback_info info) {
  napi_value values[2];
  napi_valuetype type;
  char mount_point[PATH_MAX];
  size_t length;
  struct channel_object *object = channel_method(env, info, 2, values);
  if (object == NULL)
    return NULL;
  napi_typeof(env, values[0], &type);
  if ((type != napi_function && type != napi_null) ||
      napi_get_value_string_utf8(env, values[1], mount_point, sizeof mount_point, &length) != napi_ok)
    return addon_throw(env, "guard takes a callback, or null to end it, and a path");
  if (type == napi_function)
    return int_value(env, begin_guard(object, values[0], mount_point));
  channel_end_guard(object);
  return int_value(env, 0);
}
