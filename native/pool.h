// Threads for calls that block. Jobs are made and finished in the loop's thread; `run` happens elsewhere.
#ifndef DEVFUSE_POOL_H
#define DEVFUSE_POOL_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct job {
  struct job *next;
  int64_t result;
  bool urgent;  // gets a thread at once, however many others wait
  bool borrows; // `run` uses memory that `drop` does not free
  void (*run)(struct job *job);  // in a thread of the pool
  void (*done)(struct job *job); // in the loop's thread; frees the job
  void (*drop)(struct job *job); // at the end, when it never got done; frees the job without touching JS
};

struct job_list {
  struct job *first, **last;
};

struct worker;

struct pool {
  pthread_mutex_t lock;
  pthread_cond_t work;
  struct job_list waiting, finished;
  struct worker *workers; // live ones
  struct worker *ended;   // left by themselves, to be joined
  cpu_set_t cpus; // of whoever made the pool, who may be kept on fewer since
  uint32_t waiting_count, idle, threads, most;
  bool stopping;
  void (*wake)(void *owner); // from any thread: something finished
  void *owner;
};

int pool_init(struct pool *pool, void (*wake)(void *owner), void *owner);

// 0, or -errno when there is no thread to run it.
int pool_submit(struct pool *pool, struct job *job);

// Most threads at a time (16 unless told).
void pool_set_most(struct pool *pool, uint32_t most);

// Calls `done` of everything finished; returns how many.
uint32_t pool_finish(struct pool *pool);

// Between these two a job may be cut off by pool_stop: no locks, no allocation.
void pool_cancellable(void);
void pool_not_cancellable(void);

// Cuts off what runs, joins the threads, drops the jobs; waits for one that cannot be cut off and borrows memory. False: another
// one is stuck in the kernel and still uses the pool.
bool pool_stop(struct pool *pool);

#endif
