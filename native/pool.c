// The pool: threads made on demand, leaving after ten idle seconds, cancelled when the environment ends.
#include "pool.h"
#include "thread.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define IDLE_SECONDS 10
#define STOP_SECONDS 2
#define STACK_BYTES (256u * 1024u)
#define DEFAULT_MOST 16

struct worker {
  struct worker *next;
  struct pool *pool;
  struct job *job; // what it runs
  pthread_t thread;
};

static void list_clear(struct job_list *list) {
  list->first = NULL;
  list->last = &list->first;
}

static void list_add(struct job_list *list, struct job *job) {
  job->next = NULL;
  *list->last = job;
  list->last = &job->next;
}

static void list_add_first(struct job_list *list, struct job *job) {
  job->next = list->first;
  list->first = job;
  if (job->next == NULL)
    list->last = &job->next;
}

static struct job *list_take(struct job_list *list) {
  struct job *job = list->first;
  list->first = job->next;
  if (list->first == NULL)
    list->last = &list->first;
  return job;
}

int pool_init(struct pool *pool, void (*wake)(void *owner), void *owner) {
  *pool = (struct pool){.most = DEFAULT_MOST, .wake = wake, .owner = owner};
  CPU_ZERO(&pool->cpus);
  sched_getaffinity(0, sizeof pool->cpus, &pool->cpus);
  list_clear(&pool->waiting);
  list_clear(&pool->finished);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&pool->work, &monotonic);
  pthread_condattr_destroy(&monotonic);
  return -pthread_mutex_init(&pool->lock, NULL);
}

void pool_cancellable(void) {
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
}

void pool_not_cancellable(void) {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
  pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
}

// Waits for work with the lock held; false when it is time to leave.
static bool wait_for_work(struct pool *pool) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += IDLE_SECONDS;
  int error = 0;
  pool->idle++;
  while (pool->waiting.first == NULL && !pool->stopping && error == 0)
    error = pthread_cond_timedwait(&pool->work, &pool->lock, &until);
  pool->idle--;
  return pool->waiting.first != NULL && !pool->stopping;
}

static void leave(struct pool *pool, struct worker *worker) {
  struct worker **link = &pool->workers;
  while (*link != worker)
    link = &(*link)->next;
  *link = worker->next;
  worker->next = pool->ended;
  pool->ended = worker;
  pool->threads--;
}

// What the threads freed stays with glibc otherwise, tens of megabytes after a rush.
static void give_back_memory(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

static void *worker_main(void *argument) {
  struct worker *worker = argument;
  struct pool *pool = worker->pool;
  pool_not_cancellable();
  if (CPU_COUNT(&pool->cpus) > 0)
    sched_setaffinity(0, sizeof pool->cpus, &pool->cpus);
  pthread_mutex_lock(&pool->lock);
  while (wait_for_work(pool)) {
    struct job *job = list_take(&pool->waiting);
    pool->waiting_count--;
    worker->job = job;
    pthread_mutex_unlock(&pool->lock);
    job->run(job);
    pthread_mutex_lock(&pool->lock);
    worker->job = NULL;
    bool first = pool->finished.first == NULL;
    list_add(&pool->finished, job);
    // Under the lock: pool_stop must not close the handle in between.
    if (first && !pool->stopping)
      pool->wake(pool->owner);
  }
  // While stopping, the list belongs to pool_stop.
  if (!pool->stopping)
    leave(pool, worker);
  bool last = !pool->stopping && pool->threads == 0;
  pthread_mutex_unlock(&pool->lock);
  if (last)
    give_back_memory();
  return NULL;
}

static int spawn(struct pool *pool) {
  struct worker *worker = calloc(1, sizeof *worker);
  if (worker == NULL)
    return -ENOMEM;
  worker->pool = pool;
  int error = thread_start(&worker->thread, STACK_BYTES, worker_main, worker);
  if (error != 0) {
    free(worker);
    return error;
  }
  worker->next = pool->workers;
  pool->workers = worker;
  pool->threads++;
  return 0;
}

static void join_all(struct worker *worker) {
  for (struct worker *next; worker != NULL; worker = next) {
    next = worker->next;
    pthread_join(worker->thread, NULL);
    free(worker);
  }
}

int pool_submit(struct pool *pool, struct job *job) {
  pthread_mutex_lock(&pool->lock);
  int error = 0;
  if (pool->stopping)
    error = -ECANCELED;
  else if (job->urgent ? pool->idle == 0 : pool->idle <= pool->waiting_count && pool->threads < pool->most)
    error = spawn(pool);
  // One thread is enough to get it done some time.
  if (error != -ECANCELED && pool->threads > 0)
    error = 0;
  if (error == 0) {
    if (job->urgent)
      list_add_first(&pool->waiting, job);
    else
      list_add(&pool->waiting, job);
    pool->waiting_count++;
    pthread_cond_signal(&pool->work);
  }
  struct worker *ended = pool->ended;
  pool->ended = NULL;
  pthread_mutex_unlock(&pool->lock);
  join_all(ended);
  return error;
}

void pool_set_most(struct pool *pool, uint32_t most) {
  pthread_mutex_lock(&pool->lock);
  pool->most = most;
  pthread_mutex_unlock(&pool->lock);
}

uint32_t pool_finish(struct pool *pool) {
  pthread_mutex_lock(&pool->lock);
  struct job *job = pool->finished.first;
  list_clear(&pool->finished);
  pthread_mutex_unlock(&pool->lock);
  uint32_t count = 0;
  for (struct job *next; job != NULL; job = next, count++) {
    next = job->next;
    job->done(job);
  }
  return count;
}

static void drop_all(struct job *job) {
  for (struct job *next; job != NULL; job = next) {
    next = job->next;
    job->drop(job);
  }
}

// Kernel: a wait for a FUSE or NFS server ends with its answer or the death of the process, not with a cancellation, and then the
// kernel goes on with the memory of the call. What the job owns can stay for that. What it borrows is freed with its environment, so
// that of a worker has to wait, as it does for calls of node:fs. The main thread's ends with the process, which nobody shall keep from it.
static bool has_ended(struct worker *worker, const struct timespec *until) {
  if (pthread_timedjoin_np(worker->thread, NULL, until) == 0)
    return true;
  if (syscall(SYS_gettid) == getpid())
    return false;
  pthread_mutex_lock(&worker->pool->lock);
  bool borrows = worker->job == NULL || worker->job->borrows;
  pthread_mutex_unlock(&worker->pool->lock);
  return borrows && pthread_join(worker->thread, NULL) == 0;
}

bool pool_stop(struct pool *pool) {
  pthread_mutex_lock(&pool->lock);
  pool->stopping = true;
  pthread_cond_broadcast(&pool->work);
  for (struct worker *worker = pool->workers; worker != NULL; worker = worker->next)
    pthread_cancel(worker->thread);
  pthread_mutex_unlock(&pool->lock);

  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += STOP_SECONDS;
  bool stuck = false;
  for (struct worker *worker = pool->workers, *next; worker != NULL; worker = next) {
    next = worker->next;
    // It stays, with its job and the pool.
    if (!has_ended(worker, &until)) {
      stuck = true;
      pthread_detach(worker->thread);
      continue;
    }
    if (worker->job != NULL)
      worker->job->drop(worker->job);
    free(worker);
  }
  join_all(pool->ended);
  pool->ended = NULL;
  drop_all(pool->waiting.first);
  drop_all(pool->finished.first);
  list_clear(&pool->waiting);
  list_clear(&pool->finished);
  pool->workers = NULL;
  if (!stuck) {
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
  }
  return !stuck;
}
