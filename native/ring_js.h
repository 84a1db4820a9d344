// What the two glue files of the ring share: the object behind a JS `Ring`.
#ifndef DEVFUSE_RING_JS_H
#define DEVFUSE_RING_JS_H

#include "addon.h"
#include "ring.h"

// One block of entries, which belongs to JS.
struct arena {
  struct arena *next;
  napi_ref reference;
  uint8_t *bytes;
  size_t length;
};

struct ring_object {
  struct ring ring; // first: a ring is its object
  struct addon *addon;
  struct ring_object *next; // among the addon's
  napi_ref self;            // counts who needs the object beside JS: being started, jobs
  napi_ref arrays, batch_callback;
  struct arena *arenas;
  bool held; // by being started
};

// The ring and the arguments of a method; NULL with an exception pending.
struct ring_object *ring_method(napi_env env, napi_callback_info info, size_t count, napi_value *values);

// ring_read_js.c: values: entry, fd, offset, size.
napi_value ring_reply_from_fd(napi_env env, napi_callback_info info);

#endif
