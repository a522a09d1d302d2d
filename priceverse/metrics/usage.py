"""What this process uses, as the kernel counts it: for its own report."""

import os
import resource
from collections.abc import Iterator

from priceverse.metrics import catalogue as metric
from priceverse.metrics.metric import Sample

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - read with every report: the cheap way
        return int(statm.read().split()[1]) * _PAGE_BYTES


def cpu() -> Iterator[Sample]:
    """Yield the CPU seconds since the process began: a `Watch`."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield Sample(metric.CPU, ("user",), used.ru_utime)
    yield Sample(metric.CPU, ("system",), used.ru_stime)
