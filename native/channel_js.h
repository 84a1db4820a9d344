// What the two glue files of the channel share: the object behind a JS `Channel`.
#ifndef DEVFUSE_CHANNEL_JS_H
#define DEVFUSE_CHANNEL_JS_H

#include "addon.h"

struct channel_object {
  struct channel channel; // first: a channel is its object
  struct addon *addon;
  struct channel_object *next; // among the addon's
  napi_ref self;               // counts who needs the object beside JS: being started, jobs
  napi_ref memory, arrays, batch_callback, end_callback;
  napi_ref guard_callback; // while guarded
  bool called;             // a turn is wanted that no descriptor calls for
  bool held; // by being started
  char *mounted_at; // detached when the environment ends before the channel does; or NULL
  uint32_t minor;   // of that mount's device
};

static inline struct channel_object *object_of(struct channel *channel) { return (struct channel_object *)channel; }

// The channel and the arguments of a method; NULL with an exception pending.
struct channel_object *channel_method(napi_env env, napi_callback_info info, size_t count, napi_value *values);

// reply_js.c: the methods that write.
napi_value channel_send_bytes(napi_env env, napi_callback_info info);
napi_value channel_send_parts(napi_env env, napi_callback_info info);
napi_value channel_send_from_fd(napi_env env, napi_callback_info info);

// guard_js.c: the method, and a turn of the channel that the guard or channel_wake asked for.
napi_value channel_guard(napi_env env, napi_callback_info info);
void channel_wake(struct channel *channel);
void channel_end_guard(struct channel_object *object);

// channel_js.c: a turn of the channel, whoever called for it. `status` is libuv's.
void channel_object_turn(struct channel_object *object, int status);

#endif
