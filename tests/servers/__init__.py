"""Real S3 servers, each on free ports and in a temporary folder, gone when its `with` ends."""

from .certificates import Certificates, make_certificates
from .forgetful import forgetful
from .gate import Gate, gate
from .ministack import ministack
from .moto import moto
from .nginx import nginx_files, nginx_proxy
from .process import RunningServer
from .rclone import rclone
from .weed import weed

__all__ = [
    "Certificates",
    "Gate",
    "RunningServer",
    "forgetful",
    "gate",
    "make_certificates",
    "ministack",
    "moto",
    "nginx_files",
    "nginx_proxy",
    "rclone",
    "weed",
]
