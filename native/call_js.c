// Glue of the system calls: JS arguments become numbers and addresses, results become numbers or promises.
#include "addon.h"
#include "call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MOST 4095u
// Room for one character more than allowed, so that "too long" shows.
#define TEXT_SPACE (TEXT_MOST + 5u)
// Neither a result nor an errno: an exception is pending.
#define THROWN INT64_MIN
#define AS_ARGS 5

enum encoding { UTF8, LATIN1 };

// The strings of one call, packed one after the other.
struct texts {
  size_t used;
  char bytes[CALL_ARGS * (TEXT_SPACE + 1)];
};

static int text_latin1(napi_env env, napi_value value, char *to, size_t *length) {
  uint16_t wide[TEXT_SPACE];
  if (napi_get_value_string_utf16(env, value, (char16_t *)wide, TEXT_SPACE, length) != napi_ok)
    return 1;
  uint16_t all = 0;
  for (size_t i = 0; i < *length; i++) {
    all |= wide[i];
    to[i] = (char)wide[i];
  }
  return all > 0xff ? -EILSEQ : 0;
}

// 0, -errno, or 1 when `value` is no string.
static int text(napi_env env, napi_value value, enum encoding encoding, struct texts *texts, int64_t *arg) {
  char *to = texts->bytes + texts->used;
  size_t length = 0;
  int error = 0;
  if (encoding == LATIN1)
    error = text_latin1(env, value, to, &length);
  else if (napi_get_value_string_utf8(env, value, to, TEXT_SPACE, &length) != napi_ok)
    error = 1;
  if (error != 0)
    return error;
  if (length > TEXT_MOST)
    return -ENAMETOOLONG;
  if (memchr(to, 0, length) != NULL)
    return -EINVAL;
  to[length] = 0;
  texts->used += length + 1;
  *arg = (int64_t)(uintptr_t)to;
  return 0;
}

static bool view(napi_env env, napi_value value, int64_t *arg) {
  void *bytes = NULL;
  size_t length;
  if (napi_get_typedarray_info(env, value, NULL, NULL, &bytes, NULL, NULL) != napi_ok &&
      napi_get_dataview_info(env, value, &length, &bytes, NULL, NULL) != napi_ok)
    return false;
  *arg = (int64_t)(uintptr_t)bytes;
  return true;
}

static bool number(napi_env env, napi_value value, int64_t *arg) {
  return addon_integer(env, value, INT64_MIN, INT64_MAX, arg);
}

// Fills `call` from values[0] (the number) and what follows. `pinned` collects the views.
// 0, -errno (the result of the call), or THROWN.
static int64_t read_call(napi_env env, size_t count, const napi_value *values, enum encoding encoding,
                         struct call *call, struct texts *texts, napi_value *pinned, size_t *pinned_count) {
  memset(call, 0, sizeof *call);
  texts->used = 0;
  if (count < 1 || count > 1 + CALL_ARGS || !number(env, values[0], &call->nr)) {
    addon_throw(env, "a system call takes its number and up to 6 arguments");
    return THROWN;
  }
  for (size_t i = 0; i + 1 < count; i++) {
    napi_value value = values[i + 1];
    int64_t *arg = &call->args[i];
    if (number(env, value, arg))
      continue;
    int error = text(env, value, encoding, texts, arg);
    if (error < 0)
      return error;
    if (error == 0)
      continue;
    if (!view(env, value, arg)) {
      // Not null either: that would be descriptor 0 where one is expected.
      addon_throw(env, "an argument of a system call is a 64-bit integer, a string or an ArrayBufferView (0 is NULL)");
      return THROWN;
    }
    if (pinned != NULL)
      pinned[(*pinned_count)++] = value;
  }
  return 0;
}

static napi_value result_value(napi_env env, int64_t result) {
  napi_value value = NULL;
  if (result == (int32_t)result)
    napi_create_int32(env, (int32_t)result, &value);
  else
    napi_create_int64(env, result, &value);
  return value;
}

static napi_value call_sync(napi_env env, napi_callback_info info, enum encoding encoding) {
  size_t count = CALL_ARGS + 2;
  napi_value values[CALL_ARGS + 2];
  struct call call;
  struct texts texts;
  napi_get_cb_info(env, info, &count, values, NULL, NULL);
  int64_t result = read_call(env, count, values, encoding, &call, &texts, NULL, NULL);
  if (result == THROWN)
    return NULL;
  return result_value(env, result < 0 ? result : call_run(&call));
}

static napi_value syscall_utf8(napi_env env, napi_callback_info info) { return call_sync(env, info, UTF8); }
static napi_value syscall_latin1(napi_env env, napi_callback_info info) { return call_sync(env, info, LATIN1); }

static bool read_identity(napi_env env, const napi_value *values, struct identity *identity) {
  int64_t fields[4];
  // Kernel: -1 is nobody. setfsuid(2) takes it for a question and changes nothing, so the call would be that of root.
  static const struct {
    int64_t least, most;
  } bounds[4] = {{0, UINT32_MAX - 1}, {0, UINT32_MAX - 1}, {-1, 0777}, {0, AS_KEEP_FSETID | AS_KEEP_MKNOD}};
  for (int i = 0; i < 4; i++)
    if (!addon_integer(env, values[i], bounds[i].least, bounds[i].most, &fields[i]))
      return false;
  identity->uid = (uint32_t)fields[0];
  identity->gid = (uint32_t)fields[1];
  identity->umask = (int32_t)fields[2];
  identity->flags = (uint32_t)fields[3];
  identity->groups = NULL;
  identity->group_count = 0;
  napi_typedarray_type type;
  void *groups = NULL;
  if (napi_get_typedarray_info(env, values[4], &type, &identity->group_count, &groups, NULL, NULL) != napi_ok) {
    napi_valuetype other;
    return napi_typeof(env, values[4], &other) == napi_ok && other == napi_null;
  }
  // An empty list is a list: no supplementary groups at all.
  static const uint32_t none;
  identity->groups = identity->group_count == 0 ? &none : groups;
  return type == napi_uint32_array;
}

static napi_value syscall_as(napi_env env, napi_callback_info info) {
  size_t count = AS_ARGS + CALL_ARGS + 2;
  napi_value values[AS_ARGS + CALL_ARGS + 2];
  struct identity identity;
  struct call call;
  struct texts texts;
  napi_get_cb_info(env, info, &count, values, NULL, NULL);
  if (count < AS_ARGS + 1 || !read_identity(env, values, &identity))
    return addon_throw(env, "syscallAs takes uid and gid (0 to 2^32 - 2), umask (-1 to 0o777), flags, groups (Uint32Array or null) "
                            "and the call");
  int64_t result = read_call(env, count - AS_ARGS, values + AS_ARGS, LATIN1, &call, &texts, NULL, NULL);
  if (result == THROWN)
    return NULL;
  return result_value(env, result < 0 ? result : call_run_as(&identity, &call));
}

struct call_job {
  struct job job;
  struct addon *addon;
  struct call call;
  napi_deferred promise;
  napi_ref pinned[CALL_ARGS];
  size_t pinned_count;
  char texts[];
};

static void call_job_run(struct job *job) {
  struct call_job *self = (struct call_job *)job;
  pool_cancellable();
  int64_t result = call_run(&self->call);
  pool_not_cancellable();
  job->result = result;
}

static void call_job_drop(struct job *job) { free(job); }

static void call_job_done(struct job *job) {
  struct call_job *self = (struct call_job *)job;
  napi_env env = self->addon->env;
  for (size_t i = 0; i < self->pinned_count; i++)
    napi_delete_reference(env, self->pinned[i]);
  napi_resolve_deferred(env, self->promise, result_value(env, job->result));
  addon_job_done(self->addon);
  free(self);
}

static struct call_job *call_job_new(struct addon *addon, const struct call *call, const struct texts *texts) {
  struct call_job *self = malloc(sizeof *self + texts->used);
  if (self == NULL)
    return NULL;
  *self = (struct call_job){
      .job = {.run = call_job_run, .done = call_job_done, .drop = call_job_drop, .urgent = call_is_urgent(call)},
      .addon = addon,
      .call = *call};
  memcpy(self->texts, texts->bytes, texts->used);
  // The strings lie on the caller's stack; point to the copies.
  uintptr_t from = (uintptr_t)texts->bytes;
  for (int i = 0; i < CALL_ARGS; i++) {
    uintptr_t at = (uintptr_t)call->args[i];
    if (at >= from && at < from + texts->used)
      self->call.args[i] = (int64_t)(uintptr_t)(self->texts + (at - from));
  }
  return self;
}

static int64_t call_job_submit(struct addon *addon, const struct call *call, const struct texts *texts,
                               const napi_value *pinned, size_t pinned_count, napi_deferred promise) {
  struct call_job *self = call_job_new(addon, call, texts);
  if (self == NULL)
    return -ENOMEM;
  self->promise = promise;
  self->job.borrows = pinned_count > 0;
  for (; self->pinned_count < pinned_count; self->pinned_count++)
    if (napi_create_reference(addon->env, pinned[self->pinned_count], 1, &self->pinned[self->pinned_count]) != napi_ok)
      break;
  int error = self->pinned_count < pinned_count ? -ENOMEM : addon_submit(addon, &self->job);
  if (error != 0) {
    for (size_t i = 0; i < self->pinned_count; i++)
      napi_delete_reference(addon->env, self->pinned[i]);
    free(self);
  }
  return error;
}

static napi_value call_async(napi_env env, napi_callback_info info, enum encoding encoding) {
  size_t count = CALL_ARGS + 2, pinned_count = 0;
  napi_value values[CALL_ARGS + 2], pinned[CALL_ARGS], promise;
  napi_deferred deferred;
  struct call call;
  struct texts texts;
  napi_get_cb_info(env, info, &count, values, NULL, NULL);
  int64_t result = read_call(env, count, values, encoding, &call, &texts, pinned, &pinned_count);
  if (result == THROWN || napi_create_promise(env, &deferred, &promise) != napi_ok)
    return NULL;
  if (result == 0)
    result = call_job_submit(addon_of(env), &call, &texts, pinned, pinned_count, deferred);
  if (result != 0)
    napi_resolve_deferred(env, deferred, result_value(env, result));
  return promise;
}

static napi_value syscall_async_utf8(napi_env env, napi_callback_info info) { return call_async(env, info, UTF8); }
static napi_value syscall_async_latin1(napi_env env, napi_callback_info info) { return call_async(env, info, LATIN1); }

static napi_value set_pool_size(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  int64_t threads;
  napi_get_cb_info(env, info, &count, &value, NULL, NULL);
  if (count < 1 || !addon_integer(env, value, 1, 1024, &threads))
    return addon_throw(env, "the pool has 1 to 1024 threads");
  pool_set_most(&addon_of(env)->pool, (uint32_t)threads);
  return NULL;
}

napi_status define_calls(napi_env env, napi_value exports) {
  const napi_property_descriptor calls[] = {
      {.utf8name = "syscallUtf8", .method = syscall_utf8, .attributes = napi_enumerable},
      {.utf8name = "syscallLatin1", .method = syscall_latin1, .attributes = napi_enumerable},
      {.utf8name = "syscallAsyncUtf8", .method = syscall_async_utf8, .attributes = napi_enumerable},
      {.utf8name = "syscallAsyncLatin1", .method = syscall_async_latin1, .attributes = napi_enumerable},
      {.utf8name = "syscallAs", .method = syscall_as, .attributes = napi_enumerable},
      {.utf8name = "setPoolSize", .method = set_pool_size, .attributes = napi_enumerable},
  };
  return napi_define_properties(env, exports, sizeof calls / sizeof calls[0], calls);
}
