// Included before every file: binds to the oldest glibc versions of functions that glibc 2.34 moved into
// libc.so under new versions, so that a file built on a new system loads on an old one.
#include <features.h>
#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__))
#if defined(__x86_64__)
#define DEVFUSE_OLD(name) __asm__(".symver " #name "," #name "@GLIBC_2.2.5");
#define DEVFUSE_OLD_2(name) __asm__(".symver " #name "," #name "@GLIBC_2.3.3");
#else
#define DEVFUSE_OLD(name) __asm__(".symver " #name "," #name "@GLIBC_2.17");
#define DEVFUSE_OLD_2(name) DEVFUSE_OLD(name)
#endif
DEVFUSE_OLD(dlsym)
DEVFUSE_OLD(pthread_create)
DEVFUSE_OLD(pthread_join)
DEVFUSE_OLD(pthread_detach)
DEVFUSE_OLD(pthread_cancel)
DEVFUSE_OLD(pthread_sigmask)
DEVFUSE_OLD(pthread_attr_setstacksize)
DEVFUSE_OLD_2(pthread_condattr_setclock)
DEVFUSE_OLD_2(pthread_timedjoin_np)
#endif
