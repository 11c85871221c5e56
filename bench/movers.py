"""Who moves many small objects, or one large one, and how: with defaults, and with the best flags for the work.

A *best* contestant is told how many requests to have in flight, and how large parts are. Each figure is a guess from
what the work needs (in flight = latency x rate), tried a few times on this benchmark; none is proven to be the best.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import (
    BULKHAUL,
    RCLONE_REMOTE,
    Absent,
    Contestant,
    Program,
    contestant,
    find_bulkhaul,
    find_client,
    find_rclone,
    find_s5cmd,
    search_path,
)

BEST = "-best"


@dataclass(frozen=True, slots=True)
class Move:
    """What to move from where to where.

    Attributes:
        is_download: from the bucket to ``path``; else the other way.
        key: of the one object; of many, their prefix, which ends with a slash.
        path: of the file, or of the folder of many.
    """

    endpoint: str
    bucket: str
    key: str
    path: str
    is_download: bool

    @property
    def is_many(self) -> bool:
        """Whether it is about all objects below a prefix."""
        return self.key.endswith("/")

    @property
    def s3_url(self) -> str:
        """The bucket's side as ``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class BestFlags:
    """What each peer is told beside its defaults; one tuple for many small objects, one for a large one."""

    s5cmd_many: tuple[str, ...]
    s5cmd_large: tuple[str, ...]
    rclone_many: tuple[str, ...]
    rclone_large: tuple[str, ...]
    clients_many: dict[str, tuple[str, ...]]
    clients_large: dict[str, tuple[str, ...]]


NEAR = BestFlags(
    s5cmd_many=("--numworkers", "64"),
    s5cmd_large=("--concurrency", "8", "--part-size", "16"),
    rclone_many=("--transfers", "8", "--checkers", "16", "--no-traverse", "--s3-disable-checksum"),
    rclone_large=("--multi-thread-streams", "8"),
    clients_many={"obstore": ("threads=16",), "awscrt": ("gbps=20",), "boto3": ("concurrency=16",)},
    clients_large={"obstore": ("threads=4",), "awscrt": ("gbps=50",), "boto3": ("concurrency=16",)},
)
FAR = BestFlags(
    s5cmd_many=("--numworkers", "512"),
    s5cmd_large=("--concurrency", "64", "--part-size", "8"),
    rclone_many=("--transfers", "128", "--checkers", "128", "--no-traverse", "--s3-disable-checksum"),
    rclone_large=(
        "--multi-thread-streams", "64", "--multi-thread-chunk-size", "8Mi", "--s3-chunk-size", "8Mi",
        "--s3-upload-concurrency", "64", "--s3-disable-checksum",
    ),
    clients_many={"obstore": ("threads=128",), "awscrt": ("gbps=100",), "boto3": ("concurrency=64",)},
    clients_large={
        "obstore": ("threads=64", "part_mib=8"),
        "awscrt": ("gbps=100",),
        "boto3": ("concurrency=64", "part_mib=8"),
    },
)  # fmt: skip
EXAMPLE = Move("ENDPOINT", "BUCKET", "PREFIX/", "PATH", is_download=True)


def find_movers(
    peers_bin: Path | None, best: BestFlags | None = None, fixed: Sequence[int] = ()
) -> list[Contestant[Move] | Absent]:
    """Return everybody, in the order of the tables.

    Args:
        peers_bin: a folder to look into for s5cmd and rclone first.
        best: the flags of the contestants with ``-best`` in their names; None if there are none.
        fixed: bulkhaul runs once more with each of these as ``--concurrency``.
    """
    path = search_path(peers_bin)
    everybody: list[Contestant[Move] | Absent] = [contestant(BULKHAUL, find_bulkhaul(), bulkhaul(), EXAMPLE)]
    everybody += [
        contestant(f"{BULKHAUL}-c{number}", find_bulkhaul(), bulkhaul("--concurrency", str(number)), EXAMPLE)
        for number in fixed
    ]
    everybody += _both("s5cmd", find_s5cmd(path), s5cmd, (best.s5cmd_many, best.s5cmd_large) if best else None)
    everybody += _both("rclone", find_rclone(path), rclone, (best.rclone_many, best.rclone_large) if best else None)
    for package in ("obstore", "awscrt", "boto3"):
        flags = (best.clients_many[package], best.clients_large[package]) if best else None
        everybody += _both(package, find_mover(package), client, flags)
    return everybody


def find_mover(package: str) -> Program | Absent:
    """Find a Python library; which of its two programs runs is said by the job."""
    found = find_client(package, "download")
    return found if isinstance(found, Absent) else Program(found.command[:1], found.version)


Arguments = Callable[[Move], Sequence[str]]
Maker = Callable[[str, tuple[str, ...], tuple[str, ...]], Arguments]


def _both(
    name: str, program: Program | Absent, make: Maker, best: tuple[tuple[str, ...], tuple[str, ...]] | None
) -> list[Contestant[Move] | Absent]:
    found = [contestant(name, program, make(name, (), ()), EXAMPLE)]
    if best is not None:
        found.append(contestant(f"{name}{BEST}", program, make(name, *best), EXAMPLE))
    return found


def bulkhaul(*flags: str) -> Arguments:
    """The project, with its defaults and these flags."""

    def arguments(move: Move) -> Sequence[str]:
        recursive = ["--recursive"] * move.is_many
        ways = [move.s3_url, move.path] if move.is_download else [move.path, move.s3_url]
        return ["cp", *recursive, "--quiet", *flags, *ways, "--endpoint-url", move.endpoint]

    return arguments


def s5cmd(_name: str, many: tuple[str, ...], large: tuple[str, ...]) -> Arguments:
    """s5cmd: its worker count is an option of the program, its part count one of the command."""

    def arguments(move: Move) -> Sequence[str]:
        star, slash = "*" * move.is_many, "/" * move.is_many
        if move.is_download:
            ways = [f"{move.s3_url}{star}", f"{move.path}{slash}"]
        else:
            ways = [f"{move.path}{slash}", move.s3_url]
        before, after = (many, ()) if move.is_many else ((), large)
        # Without the log level it prints a line for each object, which the others do not.
        return ["--log", "error", "--endpoint-url", move.endpoint, *before, "cp", *after, *ways]

    return arguments


def rclone(_name: str, many: tuple[str, ...], large: tuple[str, ...]) -> Arguments:
    """rclone: ``copy`` for a folder, ``copyto`` for one file."""

    def arguments(move: Move) -> Sequence[str]:
        remote = f"{RCLONE_REMOTE}:{move.bucket}/{move.key.removesuffix('/')}"
        ways = [remote, move.path] if move.is_download else [move.path, remote]
        return ["copy" if move.is_many else "copyto", *(many if move.is_many else large), *ways]

    return arguments


def client(name: str, many: tuple[str, ...], large: tuple[str, ...]) -> Arguments:
    """A program in ``clients/``."""

    def arguments(move: Move) -> Sequence[str]:
        program = find_client(name, "download" if move.is_download else "upload")
        assert isinstance(program, Program)
        settings = many if move.is_many else large
        return [program.command[-1], move.endpoint, move.bucket, move.key, move.path, *settings]

    return arguments
