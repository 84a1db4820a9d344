// Which file a blocked system call is about, told from its arguments.
#ifndef DEVFUSE_SUBJECT_H
#define DEVFUSE_SUBJECT_H

#include "verdict.h"

#include <stdbool.h>

// Whether a call of this process has to do with something at or below `mount_point`. Asks no filesystem.
bool call_is_below(const struct blocked *blocked, const char *mount_point);

// Whether it reads or writes what is in a file or directory.
bool call_moves_data(const struct blocked *blocked);

#endif
