"""The machine that the numbers are from; a benchmark without it says nothing."""

import os
import platform
import resource
from pathlib import Path


def describe() -> dict[str, str | int]:
    """CPU, cores, memory, kernel, Python, and the limit of open files."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 0,
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    }


def sentence(machine: dict[str, str | int]) -> str:
    """The machine in one line."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['kernel']},"
        f" Python {machine['python']}, {machine['open_files']} open files a process"
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
