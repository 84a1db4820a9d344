"""What a tree holds, a line per file, for comparison: everything but access times, which looking changes. Every step is
one name deep, so that trees of any depth are quick to read.

  look.py TREE [contents]: with `contents` the checksums of all bytes as well
"""

import os
import stat
import sys
import zlib


def checksum(name, directory):
    """CRC-32 of all bytes, holes read like everything else."""
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
    try:
        value, piece = 0, memoryview(bytearray(1 << 20))
        while count := os.readv(fd, [piece]):
            value = zlib.crc32(piece[:count], value)
        return f"{value:08x}"
    finally:
        os.close(fd)


def xattrs(name, directory):
    """Names and values in the order that they are listed in."""
    path = f"/proc/self/fd/{directory}/{name}"
    found = os.listxattr(path, follow_symlinks=False)
    return [(one, os.getxattr(path, one, follow_symlinks=False)) for one in found]


def line(path, name, directory, contents):
    at = os.stat(name, dir_fd=directory, follow_symlinks=False)
    words = [path, oct(at.st_mode), at.st_ino, at.st_nlink, at.st_uid, at.st_gid, at.st_size, at.st_blocks, at.st_rdev]
    words += [at.st_mtime_ns, at.st_ctime_ns, xattrs(name, directory)]
    if stat.S_ISLNK(at.st_mode):
        words.append(os.readlink(name, dir_fd=directory))
    if stat.S_ISREG(at.st_mode) and contents:
        words.append(checksum(name, directory))
    return " ".join(str(word) for word in words)


def fail(error):
    raise error


tree, contents = sys.argv[1], sys.argv[2:] == ["contents"]
for path, directories, files, fd in os.fwalk(tree, onerror=fail):
    directories.sort()
    if path == tree:
        print(line(".", ".", fd, contents))
    for name in sorted(directories + files):
        print(line(os.path.join(path, name)[len(tree) :], name, fd, contents))
