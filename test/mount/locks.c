// The client of the lock tests: does what it is told on its standard input, one command a line, and answers with one line
// each, so that two of them can be played against each other.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int fds[10];

static void on_alarm(int signal) { (void)signal; }

static void answer(int result) {
  if (result < 0)
    printf("%s\n", strerrorname_np(errno));
  else
    printf("ok\n");
  fflush(stdout);
}

static int type_of(char letter) { return letter == 'r' ? F_RDLCK : letter == 'w' ? F_WRLCK : F_UNLCK; }

int main(void) {
  char line[4096], word[32], path[2048], letter;
  int n, m;
  long long start, len;
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (sscanf(line, "open %d %2047s", &n, path) == 2) {
      fds[n] = open(path, O_RDWR);
      answer(fds[n]);
    } else if (sscanf(line, "close %d", &n) == 1) {
      answer(close(fds[n]));
    } else if (sscanf(line, "dup %d %d", &n, &m) == 2) {
      answer(fds[m] = dup(fds[n]));
    } else if (sscanf(line, "alarm %d", &n) == 1) {
      // Without SA_RESTART: what waits gets EINTR.
      struct sigaction action = {.sa_handler = on_alarm};
      sigaction(SIGALRM, &action, NULL);
      answer((int)alarm((unsigned)n) * 0);
    } else if (sscanf(line, "flock %d %31s", &n, word) == 2) {
      int operation = word[0] == 's' ? LOCK_SH : word[0] == 'x' ? LOCK_EX : LOCK_UN;
      if (word[1] == 'n')
        operation |= LOCK_NB;
      answer(flock(fds[n], operation));
    } else if (sscanf(line, "%31s %d %c %lld %lld", word, &n, &letter, &start, &len) == 5) {
      struct flock lock = {.l_type = (short)type_of(letter), .l_whence = SEEK_SET, .l_start = start, .l_len = len};
      int command = strcmp(word, "set") == 0       ? F_SETLK
                    : strcmp(word, "wait") == 0    ? F_SETLKW
                    : strcmp(word, "get") == 0     ? F_GETLK
                    : strcmp(word, "ofdset") == 0  ? F_OFD_SETLK
                    : strcmp(word, "ofdwait") == 0 ? F_OFD_SETLKW
                                                   : F_OFD_GETLK;
      int result = fcntl(fds[n], command, &lock);
      if (result == 0 && (command == F_GETLK || command == F_OFD_GETLK) && lock.l_type != F_UNLCK) {
        printf("%c %lld+%lld\n", lock.l_type == F_RDLCK ? 'r' : 'w', (long long)lock.l_start, (long long)lock.l_len);
        fflush(stdout);
      } else {
        answer(result);
      }
    } else {
      printf("what? %s", line);
      fflush(stdout);
    }
  }
  return 0;
}
