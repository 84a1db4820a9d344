// Threads of the addon's own: the pool's and the guard's.
#ifndef DEVFUSE_THREAD_H
#define DEVFUSE_THREAD_H

#include <pthread.h>
#include <stddef.h>

// Starts a thread that takes no signals, which are for the program's own threads: 0 or -errno.
int thread_start(pthread_t *thread, size_t stack_bytes, void *(*run)(void *), void *argument);

#endif
