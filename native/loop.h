// The few libuv functions that the addon needs, looked up when it is loaded: libuv promises no ABI
// under Node-API, so nothing of its headers is used and its handles are only ever seen as memory.
#ifndef DEVFUSE_LOOP_H
#define DEVFUSE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOOP_READABLE 1

typedef void (*loop_close_cb)(void *handle);
typedef void (*loop_poll_cb)(void *handle, int status, int events);
typedef void (*loop_async_cb)(void *handle);

struct loop {
  void *uv; // uv_loop_t
  int backend_fd;
  int type_async, type_poll;
  int (*poll_init)(void *loop, void *handle, int fd);
  int (*poll_start)(void *handle, int events, loop_poll_cb callback);
  int (*poll_stop)(void *handle);
  int (*async_init)(void *loop, void *handle, loop_async_cb callback);
  int (*async_send)(void *handle);
  void (*close)(void *handle, loop_close_cb callback);
  void (*ref)(void *handle);
  void (*unref)(void *handle);
  size_t (*handle_size)(int type);
  const char *(*type_name)(int type);
  int (*get_backend_fd)(const void *loop);
  int (*backend_timeout)(const void *loop);
  uint64_t (*now)(const void *loop);
  void (*update_time)(void *loop);
};

// Every handle of libuv begins with a pointer that belongs to its user.
static inline void *handle_data(const void *handle) { return *(void *const *)handle; }
static inline void handle_set_data(void *handle, void *data) { *(void **)handle = data; }

// Finds everything; -ENOSYS when the runtime has no libuv.
int loop_init(struct loop *loop, void *uv);

// CLOCK_MONOTONIC in nanoseconds, the clock of uv_now.
uint64_t clock_ns(void);

// A timer is due, or something waits for the next round of the loop (setImmediate, closing handles).
bool loop_due(const struct loop *loop, uint64_t now);

// Some descriptor of the loop is ready. With our own just drained, that is other work.
bool loop_ready(const struct loop *loop);

#endif
