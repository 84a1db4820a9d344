// Preloaded into LTP's programs by ltp.sh: where they mount a loop device, they get a directory of the filesystem under test
// instead, which is what "formatting" the device has emptied.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

typedef int mounter(const char *, const char *, const char *, unsigned long, const void *);

int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data) {
  mounter *next = (mounter *)dlsym(RTLD_NEXT, "mount");
  const char *directory = getenv("DEVFUSE_LTP_DEVICE");
  const unsigned long changes = MS_BIND | MS_MOVE | MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
  if (directory == NULL || source == NULL || strncmp(source, "/dev/loop", 9) != 0 || (flags & changes))
    return next(source, target, type, flags, data);
  if (flags & MS_REMOUNT)
    return next(NULL, target, NULL, flags | MS_BIND, NULL);
  if (next(directory, target, NULL, MS_BIND, NULL) < 0)
    return -1;
  return flags == 0 ? 0 : next(NULL, target, NULL, MS_REMOUNT | MS_BIND | flags, NULL);
}
