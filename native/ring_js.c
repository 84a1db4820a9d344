// Glue of the ring: the class `Ring`, its life, the arrays it shares with JS, and the way into onBatch.
#include "ring_js.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void on_batch(struct ring *ring, uint32_t count) {
  struct ring_object *object = (struct ring_object *)ring;
  if (!addon_call(object->addon, object->self, object->batch_callback, (int)count))
    ring->turn.started = false;
}

// Being started keeps the object alive, whatever JS still knows of it.
static void hold_while_started(struct ring_object *object) {
  uint32_t count;
  if (object->ring.turn.started == object->held)
    return;
  object->held = object->ring.turn.started;
  if (object->held)
    napi_reference_ref(object->addon->env, object->self, &count);
  else
    napi_reference_unref(object->addon->env, object->self, &count);
}

static void on_poll(void *handle, int status, int events) {
  struct ring_object *object = handle_data(handle);
  napi_env env = object->addon->env;
  napi_handle_scope scope;
  napi_value self;
  (void)status;
  (void)events;
  if (napi_open_handle_scope(env, &scope) != napi_ok)
    return;
  // Whatever the callback does, the object stays until the turn is over.
  napi_get_reference_value(env, object->self, &self);
  ring_turn(&object->ring);
  if (object->ring.turn.started && ring_lost(&object->ring)) {
    object->ring.turn.started = false;
    object->addon->loop.poll_stop(object->ring.poll);
    addon_call(object->addon, object->self, object->batch_callback, -1);
  }
  hold_while_started(object);
  napi_close_handle_scope(env, scope);
}

// The pages that lie wholly inside: what shares a page with others stays as it is.
static void advise(const struct arena *arena, int advice) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t first = ((uintptr_t)arena->bytes + page - 1) & ~(page - 1);
  uintptr_t last = ((uintptr_t)arena->bytes + arena->length) & ~(page - 1);
  if (first < last)
    madvise((void *)first, last - first, advice);
}

// Closes, and gives the memory back unless the kernel may still write to it. Returns entries that it may write to.
static uint32_t close_ring(struct ring_object *object) {
  uint32_t left = ring_close(&object->ring, addon_handle_closed, object->addon);
  for (struct arena *arena = object->arenas; arena != NULL && left == 0; arena = object->arenas) {
    object->arenas = arena->next;
    advise(arena, MADV_DOFORK);
    napi_delete_reference(object->addon->env, arena->reference);
    free(arena);
  }
  return left;
}

static void object_free(napi_env env, void *data, void *hint) {
  struct ring_object *object = data;
  (void)hint;
  close_ring(object);
  struct ring_object **link = &object->addon->rings;
  while (*link != NULL && *link != object)
    link = &(*link)->next;
  if (*link == object)
    *link = object->next;
  if (object->arrays != NULL)
    napi_delete_reference(env, object->arrays);
  if (object->batch_callback != NULL)
    napi_delete_reference(env, object->batch_callback);
  napi_delete_reference(env, object->self);
  ring_free(&object->ring);
}

void ring_objects_close(struct addon *addon) {
  for (struct ring_object *object = addon->rings; object != NULL; object = object->next)
    ring_close(&object->ring, addon_handle_closed, addon);
}

// One ArrayBuffer for the arrays of the object: stats, slots, answers.
static napi_status make_arrays(napi_env env, napi_value self, struct ring_object *object) {
  size_t stats_size = STAT_COUNT * sizeof(double), slots_size = RING_BATCH * sizeof(int32_t);
  size_t size = stats_size + slots_size + sizeof(struct ring_answers);
  napi_value buffer, stats, slots, answers;
  uint8_t *memory;
  napi_status status = napi_create_arraybuffer(env, size, (void **)&memory, &buffer);
  if (status != napi_ok)
    return status;
  memset(memory, 0, size);
  object->ring.turn.stats = (double *)(void *)memory;
  object->ring.slots = (int32_t *)(void *)(memory + stats_size);
  object->ring.answers = (struct ring_answers *)(void *)(memory + stats_size + slots_size);
  napi_create_reference(env, buffer, 1, &object->arrays);
  napi_create_typedarray(env, napi_float64_array, STAT_COUNT, buffer, 0, &stats);
  napi_create_typedarray(env, napi_int32_array, RING_BATCH, buffer, stats_size, &slots);
  napi_create_typedarray(env, napi_int32_array, sizeof(struct ring_answers) / sizeof(int32_t), buffer,
                         stats_size + slots_size, &answers);
  const napi_property_descriptor arrays[] = {
      {.utf8name = "stats", .value = stats, .attributes = napi_enumerable},
      {.utf8name = "slots", .value = slots, .attributes = napi_enumerable},
      {.utf8name = "answers", .value = answers, .attributes = napi_enumerable},
  };
  return napi_define_properties(env, self, 3, arrays);
}

static napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value values[2], self;
  napi_valuetype callback;
  int fd;
  napi_get_cb_info(env, info, &count, values, &self, NULL);
  if (count < 2 || !addon_fd(env, values[0], &fd) || fd < 0 ||
      napi_typeof(env, values[1], &callback) != napi_ok || callback != napi_function)
    return addon_throw(env, "Ring takes the descriptor of /dev/fuse and onBatch");
  struct ring_object *object = calloc(1, sizeof *object);
  if (object == NULL)
    return addon_throw(env, "out of memory");
  object->addon = addon_of(env);
  object->ring.uring.fd = -1;
  object->ring.device = fd;
  object->ring.turn.loop = &object->addon->loop;
  object->ring.on_poll = on_poll;
  object->ring.on_batch = on_batch;
  if (make_arrays(env, self, object) != napi_ok ||
      napi_wrap(env, self, object, object_free, NULL, &object->self) != napi_ok) {
    ring_free(&object->ring);
    return addon_throw(env, "the ring could not be made");
  }
  napi_create_reference(env, values[1], 1, &object->batch_callback);
  object->next = object->addon->rings;
  object->addon->rings = object;
  return self;
}

struct ring_object *ring_method(napi_env env, napi_callback_info info, size_t count, napi_value *values) {
  size_t given = count;
  napi_value self;
  void *object = NULL;
  if (napi_get_cb_info(env, info, &given, values, &self, NULL) != napi_ok ||
      napi_unwrap(env, self, &object) != napi_ok) {
    addon_throw(env, "not a Ring");
    return NULL;
  }
  if (given < count) {
    addon_throw(env, "missing arguments");
    return NULL;
  }
  return object;
}

// values: entries at the most.
static napi_value open_ring(napi_env env, napi_callback_info info) {
  napi_value value;
  uint32_t most;
  struct ring_object *object = ring_method(env, info, 1, &value);
  if (object == NULL)
    return NULL;
  if (napi_get_value_uint32(env, value, &most) != napi_ok || most == 0 || object->ring.entries != NULL)
    return addon_throw(env, "open takes the number of entries, once");
  return int_value(env, object->addon->has_loop ? ring_open(&object->ring, most) : -ENOSYS);
}

// values: qid, memory, count, entrySize, payloadAt.
static napi_value add(napi_env env, napi_callback_info info) {
  napi_value values[5];
  uint32_t qid, count, entry_size, payload_at;
  void *bytes;
  size_t length;
  struct ring_object *object = ring_method(env, info, 5, values);
  if (object == NULL)
    return NULL;
  if (napi_get_value_uint32(env, values[0], &qid) != napi_ok || qid > UINT16_MAX ||
      napi_get_arraybuffer_info(env, values[1], &bytes, &length) != napi_ok ||
      napi_get_value_uint32(env, values[2], &count) != napi_ok ||
      napi_get_value_uint32(env, values[3], &entry_size) != napi_ok ||
      napi_get_value_uint32(env, values[4], &payload_at) != napi_ok || payload_at < RING_HEADER_SIZE ||
      entry_size <= payload_at || count == 0 || count > length / entry_size)
    return addon_throw(env, "add takes qid, memory (ArrayBuffer of count * entrySize), count, entrySize and payloadAt");
  struct arena *arena = calloc(1, sizeof *arena);
  if (arena == NULL)
    return int_value(env, -ENOMEM);
  arena->bytes = bytes;
  arena->length = length;
  napi_create_reference(env, values[1], 1, &arena->reference);
  arena->next = object->arenas;
  object->arenas = arena;
  advise(arena, MADV_DONTFORK);
  const struct ring_memory memory = {
      .bytes = bytes, .count = count, .entry_size = entry_size, .payload_at = payload_at};
  return int_value(env, ring_add(&object->ring, (uint16_t)qid, &memory));
}

static napi_value start(napi_env env, napi_callback_info info) {
  struct ring_object *object = ring_method(env, info, 0, NULL);
  if (object == NULL)
    return NULL;
  bool had_handle = object->ring.poll != NULL;
  int error = ring_start(&object->ring);
  object->addon->uv_handles += object->ring.poll != NULL && !had_handle;
  hold_while_started(object);
  return int_value(env, error);
}

static napi_value flush(napi_env env, napi_callback_info info) {
  struct ring_object *object = ring_method(env, info, 0, NULL);
  return object == NULL ? NULL : int_value(env, ring_flush(&object->ring));
}

// values: cpu, unique, nodeid, count.
static napi_value kick(napi_env env, napi_callback_info info) {
  napi_value values[4];
  uint32_t cpu, count;
  double unique, nodeid;
  struct ring_object *object = ring_method(env, info, 4, values);
  if (object == NULL)
    return NULL;
  if (napi_get_value_uint32(env, values[0], &cpu) != napi_ok ||
      napi_get_value_double(env, values[1], &unique) != napi_ok || !(unique >= 0 && unique < 0x1p53) ||
      napi_get_value_double(env, values[2], &nodeid) != napi_ok || !(nodeid >= 0 && nodeid < 0x1p53) ||
      napi_get_value_uint32(env, values[3], &count) != napi_ok)
    return addon_throw(env, "kick takes a CPU, a unique, a nodeid and a count");
  if (object->ring.uring.fd < 0)
    return int_value(env, -EBADF);
  return int_value(env, ring_kick(&object->ring, cpu, (uint64_t)unique, (uint64_t)nodeid, count));
}

// values: entry.
static napi_value fetched(napi_env env, napi_callback_info info) {
  napi_value value, result;
  uint32_t entry;
  struct ring_object *object = ring_method(env, info, 1, &value);
  if (object == NULL)
    return NULL;
  if (napi_get_value_uint32(env, value, &entry) != napi_ok)
    return addon_throw(env, "fetched takes an entry");
  napi_get_boolean(env, object->ring.uring.fd >= 0 && ring_fetched(&object->ring, entry), &result);
  return result;
}

static napi_value set_busy_poll(napi_env env, napi_callback_info info) {
  napi_value value;
  struct ring_object *object = ring_method(env, info, 1, &value);
  return object == NULL ? NULL : addon_set_busy_poll(env, value, &object->ring.turn.spin);
}

static napi_value close_method(napi_env env, napi_callback_info info) {
  struct ring_object *object = ring_method(env, info, 0, NULL);
  if (object == NULL)
    return NULL;
  uint32_t left = close_ring(object);
  hold_while_started(object);
  // It knows the session, which knows the ring: without this neither would ever go.
  if (object->batch_callback != NULL)
    napi_delete_reference(env, object->batch_callback);
  object->batch_callback = NULL;
  return int_value(env, (int)left);
}

napi_status define_ring(napi_env env, napi_value exports) {
  const napi_property_descriptor members[] = {
      {.utf8name = "open", .method = open_ring},
      {.utf8name = "add", .method = add},
      {.utf8name = "start", .method = start},
      {.utf8name = "flush", .method = flush},
      {.utf8name = "replyFromFd", .method = ring_reply_from_fd},
      {.utf8name = "kick", .method = kick},
      {.utf8name = "fetched", .method = fetched},
      {.utf8name = "setBusyPoll", .method = set_busy_poll},
      {.utf8name = "close", .method = close_method},
  };
  napi_value constructor;
  napi_status status = napi_define_class(env, "Ring", NAPI_AUTO_LENGTH, construct, NULL,
                                         sizeof members / sizeof members[0], members, &constructor);
  return status == napi_ok ? napi_set_named_property(env, exports, "Ring", constructor) : status;
}
