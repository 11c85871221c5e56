"""Real S3 servers, each on free ports and in a temporary folder, gone when its `with` ends."""

from .certificates import Certificates, make_certificates
from .moto import moto
from .nginx import nginx_files, nginx_proxy
from .process import RunningServer
from .weed import weed

__all__ = ["Certificates", "RunningServer", "make_certificates", "moto", "nginx_files", "nginx_proxy", "weed"]
