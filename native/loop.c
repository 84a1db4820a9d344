// The loop: libuv's functions by name, and "does it have other work?" for the busy poll.
#include "loop.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

static const struct {
  const char *name;
  size_t at;
} functions[] = {
    {"uv_poll_init", offsetof(struct loop, poll_init)},
    {"uv_poll_start", offsetof(struct loop, poll_start)},
    {"uv_poll_stop", offsetof(struct loop, poll_stop)},
    {"uv_async_init", offsetof(struct loop, async_init)},
    {"uv_async_send", offsetof(struct loop, async_send)},
    {"uv_close", offsetof(struct loop, close)},
    {"uv_ref", offsetof(struct loop, ref)},
    {"uv_unref", offsetof(struct loop, unref)},
    {"uv_handle_size", offsetof(struct loop, handle_size)},
    {"uv_handle_type_name", offsetof(struct loop, type_name)},
    {"uv_backend_fd", offsetof(struct loop, get_backend_fd)},
    {"uv_backend_timeout", offsetof(struct loop, backend_timeout)},
    {"uv_now", offsetof(struct loop, now)},
    {"uv_update_time", offsetof(struct loop, update_time)},
};

static int type_named(const struct loop *loop, const char *name) {
  for (int type = 1; type < 32; type++) {
    const char *found = loop->type_name(type);
    if (found != NULL && strcmp(found, name) == 0)
      return type;
  }
  return -ENOSYS;
}

int loop_init(struct loop *loop, void *uv) {
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    void *found = dlsym(RTLD_DEFAULT, functions[i].name);
    if (found == NULL)
      return -ENOSYS;
    memcpy((char *)loop + functions[i].at, &found, sizeof found);
  }
  loop->uv = uv;
  loop->backend_fd = loop->get_backend_fd(uv);
  loop->type_async = type_named(loop, "async");
  loop->type_poll = type_named(loop, "poll");
  return loop->type_async < 0 || loop->type_poll < 0 ? -ENOSYS : 0;
}

uint64_t clock_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

bool loop_due(const struct loop *loop, uint64_t now) {
  int timeout = loop->backend_timeout(loop->uv);
  if (timeout <= 0)
    return timeout == 0;
  return now >= (loop->now(loop->uv) + (uint64_t)timeout) * 1000000u;
}

bool loop_ready(const struct loop *loop) {
  struct pollfd backend = {.fd = loop->backend_fd, .events = POLLIN};
  return poll(&backend, 1, 0) != 0;
}
