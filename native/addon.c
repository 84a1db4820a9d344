// The addon's life in one environment: made when loaded, the pool's bell in its loop, taken down with it.
#include "addon.h"

#include <errno.h>
#include <stdlib.h>

struct addon *addon_of(napi_env env) {
  void *addon = NULL;
  napi_get_instance_data(env, &addon);
  return addon;
}

napi_value addon_throw(napi_env env, const char *message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_VALUE", message);
  return NULL;
}

bool addon_integer(napi_env env, napi_value value, int64_t least, int64_t most, int64_t *integer) {
  double found;
  if (napi_get_value_double(env, value, &found) != napi_ok || !(found >= -0x1p63 && found < 0x1p63))
    return false;
  *integer = (int64_t)found;
  return (double)*integer == found && *integer >= least && *integer <= most;
}

bool addon_fd(napi_env env, napi_value value, int *fd) {
  int64_t found;
  if (!addon_integer(env, value, INT32_MIN, INT32_MAX, &found))
    return false;
  *fd = (int)found;
  return true;
}

bool addon_report_exception(napi_env env) {
  bool pending = false;
  napi_value error;
  napi_is_exception_pending(env, &pending);
  if (!pending || napi_get_and_clear_last_exception(env, &error) != napi_ok)
    return false;
  return napi_fatal_exception(env, error) == napi_ok;
}

bool addon_call(struct addon *addon, napi_ref self, napi_ref callback, int argument) {
  napi_env env = addon->env;
  napi_handle_scope scope;
  napi_value object, function, value, result;
  if (napi_open_handle_scope(env, &scope) != napi_ok)
    return true;
  bool called = napi_get_reference_value(env, self, &object) == napi_ok &&
                napi_get_reference_value(env, callback, &function) == napi_ok &&
                napi_create_int32(env, argument, &value) == napi_ok &&
                napi_make_callback(env, addon->context, object, function, 1, &value, &result) == napi_ok;
  bool alive = called || addon_report_exception(env);
  napi_close_handle_scope(env, scope);
  return alive;
}

napi_value addon_set_busy_poll(napi_env env, napi_value microseconds, struct spin *spin) {
  double most;
  if (napi_get_value_double(env, microseconds, &most) != napi_ok || !(most >= 0))
    return addon_throw(env, "busy polling takes a number of microseconds");
  spin->max = (uint64_t)((most < SPIN_MOST_US ? most : SPIN_MOST_US) * 1000);
  return NULL;
}

// From a thread of the pool.
static void wake_loop(void *owner) {
  struct addon *addon = owner;
  addon->loop.async_send(addon->async);
}

static void on_bell(void *handle) {
  struct addon *addon = handle_data(handle);
  napi_handle_scope handles;
  napi_callback_scope scope;
  if (napi_open_handle_scope(addon->env, &handles) != napi_ok)
    return;
  napi_value resource;
  if (napi_create_object(addon->env, &resource) == napi_ok &&
      napi_open_callback_scope(addon->env, resource, addon->context, &scope) == napi_ok) {
    pool_finish(&addon->pool);
    napi_close_callback_scope(addon->env, scope);
  }
  channels_called(addon);
  napi_close_handle_scope(addon->env, handles);
}

int addon_hang_bell(struct addon *addon) {
  struct loop *loop = &addon->loop;
  if (addon->async != NULL)
    return 0;
  if (!addon->has_loop)
    return -ENOSYS;
  void *async = malloc(loop->handle_size(loop->type_async));
  if (async == NULL)
    return -ENOMEM;
  int error = loop->async_init(loop->uv, async, on_bell);
  if (error != 0) {
    free(async);
    return error;
  }
  handle_set_data(async, addon);
  loop->unref(async);
  addon->async = async;
  addon->uv_handles++;
  return 0;
}

int addon_submit(struct addon *addon, struct job *job) {
  int error = addon_hang_bell(addon);
  if (error == 0)
    error = pool_submit(&addon->pool, job);
  if (error == 0 && addon->jobs++ == 0)
    addon->loop.ref(addon->async);
  return error;
}

void addon_job_done(struct addon *addon) {
  if (--addon->jobs == 0)
    addon->loop.unref(addon->async);
}

static void cleaned_up(struct addon *addon) {
  if (addon->cleanup != NULL && addon->uv_handles == 0)
    napi_remove_async_cleanup_hook(addon->cleanup);
}

void addon_handle_closed(void *handle) {
  struct addon *addon = handle_data(handle);
  free(handle);
  addon->uv_handles--;
  cleaned_up(addon);
}

// The environment ends: no JS from here on.
static void on_cleanup(napi_async_cleanup_hook_handle handle, void *data) {
  struct addon *addon = data;
  addon->cleanup = handle;
  // First what this environment serves: a thread of the pool may wait for that.
  channel_objects_close(addon);
  addon->stuck = !pool_stop(&addon->pool);
  ring_objects_close(addon);
  if (addon->async != NULL)
    addon->loop.close(addon->async, addon_handle_closed);
  else
    cleaned_up(addon);
}

static void addon_free(napi_env env, void *data, void *hint) {
  struct addon *addon = data;
  (void)env;
  (void)hint;
  if (!addon->stuck)
    free(addon);
}

NAPI_MODULE_INIT() {
  struct addon *addon = calloc(1, sizeof *addon);
  struct uv_loop_s *uv = NULL;
  napi_value resource, name;
  if (addon == NULL || pool_init(&addon->pool, wake_loop, addon) != 0) {
    free(addon);
    napi_throw_error(env, "ENOMEM", "devfuse: out of memory");
    return NULL;
  }
  addon->env = env;
  addon->has_loop = napi_get_uv_event_loop(env, &uv) == napi_ok && loop_init(&addon->loop, uv) == 0;
  if (napi_set_instance_data(env, addon, addon_free, NULL) != napi_ok ||
      napi_add_async_cleanup_hook(env, on_cleanup, addon, NULL) != napi_ok ||
      napi_create_object(env, &resource) != napi_ok ||
      napi_create_string_latin1(env, "DEVFUSE", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_async_init(env, resource, name, &addon->context) != napi_ok || define_calls(env, exports) != napi_ok ||
      define_channel(env, exports) != napi_ok || define_ring(env, exports) != napi_ok) {
    napi_throw_error(env, "ERR_DEVFUSE_ADDON", "devfuse: the addon could not be set up in this environment");
    return NULL;
  }
  return exports;
}
