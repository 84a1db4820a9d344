// who PATH COUNT THREADS [CPU]: COUNT statfs(2) calls by each of THREADS threads, all on CPU where that is given. Prints every
// f_files that was seen, once.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>

static const char *path;
static int calls;
static unsigned char seen[4096];

static void *ask(void *unused) {
  (void)unused;
  for (int i = 0; i < calls; i++) {
    struct statfs found;
    if (statfs(path, &found) != 0) {
      perror("statfs");
      exit(1);
    }
    seen[found.f_files % sizeof seen] = 1;
  }
  return NULL;
}

int main(int argc, char **argv) {
  pthread_t threads[64];
  if (argc < 4)
    return 2;
  path = argv[1];
  calls = atoi(argv[2]);
  int count = atoi(argv[3]);
  if (argc > 4) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(atoi(argv[4]), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
      return perror("sched_setaffinity"), 1;
  }
  for (int i = 0; i < count; i++)
    if (pthread_create(&threads[i], NULL, ask, NULL) != 0)
      return 1;
  for (int i = 0; i < count; i++)
    pthread_join(threads[i], NULL);
  for (unsigned i = 0; i < sizeof seen; i++)
    if (seen[i])
      printf("%u\n", i);
  return 0;
}
