// What the glue files share: the state of one environment (main thread or worker). JS values stop here.
#ifndef DEVFUSE_ADDON_H
#define DEVFUSE_ADDON_H

#include "channel.h"
#include "loop.h"
#include "pool.h"

#include <node_api.h>
#include <stdbool.h>

struct channel_object;
struct ring_object;

struct addon {
  napi_env env;
  napi_async_context context; // in which handlers and promise reactions run
  struct loop loop;
  bool has_loop;
  struct pool pool;
  void *async;          // uv_async_t: the pool's bell, from the first job on
  uint32_t jobs;        // not done yet
  uint32_t uv_handles;  // open or closing
  struct channel_object *channels;
  struct ring_object *rings;
  napi_async_cleanup_hook_handle cleanup; // not NULL: the environment ends
  bool stuck;                             // a thread of the pool did not end
};

struct addon *addon_of(napi_env env);

// Throws and returns NULL, so that `return addon_throw(...)` reads well.
napi_value addon_throw(napi_env env, const char *message);

// An integer from `least` to `most`, both included.
bool addon_integer(napi_env env, napi_value value, int64_t least, int64_t most, int64_t *integer);

// An integer that may be a descriptor: never one that a fraction, NaN or more than 32 bits would be taken for.
bool addon_fd(napi_env env, napi_value value, int *fd);

static inline napi_value int_value(napi_env env, int result) {
  napi_value value = NULL;
  napi_create_int32(env, result, &value);
  return value;
}

// A callback into JS left an exception: reports it as uncaught. False: no JS can run any more.
bool addon_report_exception(napi_env env);

// Makes sure that `async` is there, which the threads of the pool and of guards ring. 0 or -errno.
int addon_hang_bell(struct addon *addon);

// Calls `callback` as a method of `self` through a callback scope, so that promise jobs and nextTick run. False: no JS
// can run any more.
bool addon_call(struct addon *addon, napi_ref self, napi_ref callback, int argument);

// The method `setBusyPoll` of whatever has a spin.
napi_value addon_set_busy_poll(napi_env env, napi_value microseconds, struct spin *spin);

// Hands a job to the pool, keeping the event loop alive until it is done. 0 or -errno.
int addon_submit(struct addon *addon, struct job *job);
// Every `done` calls this.
void addon_job_done(struct addon *addon);

// A loop_close_cb for a handle whose data is the addon.
void addon_handle_closed(void *handle);

// call_js.c, channel_js.c and ring_js.c: their part of the exports.
napi_status define_calls(napi_env env, napi_value exports);
napi_status define_channel(napi_env env, napi_value exports);
napi_status define_ring(napi_env env, napi_value exports);

// guard_js.c: the bell rang.
void channels_called(struct addon *addon);

// channel_js.c and ring_js.c: the environment ends. The rings go last, when their connections are over.
void channel_objects_close(struct addon *addon);
void ring_objects_close(struct addon *addon);

#endif
