"""A small file that every handler of the instance has mapped into its memory: what one writes there all see at once."""

import fcntl
import mmap
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

Begin = Callable[[mmap.mmap], None]
"""Writes what stands in a file that is new; nothing into one that has begun."""


def shared(path: Path, size_bytes: int, begin: Begin) -> mmap.mmap | None:
    """Map the file at `path`, made if need be; None if there can be no such file."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # held by nobody for longer than this takes
        if os.fstat(fd).st_size != size_bytes:
            os.ftruncate(fd, 0)
            os.ftruncate(fd, size_bytes)
        memory = mmap.mmap(fd, size_bytes)
        begin(memory)
    except OSError:
        return None
    else:
        return memory
    finally:
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)  # closing does not: the map keeps the file open
        os.close(fd)


def own(size_bytes: int, begin: Begin) -> mmap.mmap:
    """Return memory of one's own in its stead."""
    memory = mmap.mmap(-1, size_bytes)
    begin(memory)
    return memory
