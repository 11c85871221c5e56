"""Sends and receives whole messages with descriptors over one end of a socketpair between processes.

SOCK_SEQPACKET keeps message boundaries in the kernel, so a frame is never torn and descriptors stay with their
message. A frame that is too long or does not decode closes the channel: its sender cannot be trusted. Missing
descriptors are not the sender's fault: the kernel drops them when the receiver may open no more files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.messages.request import learning
from bulkhaul.model.errors import OtherError

MAX_FRAME_BYTES = 128 * 1024
"""Longest frame. It fits the default socket buffer of Linux (net.core.wmem_default, 208 KiB) whole."""

MAX_DESCRIPTORS = 128
"""Most descriptors of one frame. Source: SCM_MAX_FD is 253 (include/net/scm.h)."""

END_OF_FILE = "end of file"
"""The reason that ``on_closed`` gets when the peer has closed the channel, or died."""

_CLOEXEC = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))  # plain numbers: enums cost time, and every frame needs these
_TRUNCATED = int(socket.MSG_TRUNC)  # the frame was; missing descriptors are allowed, see receive_now

Incoming = TypeVar("Incoming")


class MalformedFrame(Exception):
    """The peer sent something that is no message."""


def encoded(value: object) -> bytes:
    """Return a value as msgpack.

    Raises:
        OtherError: it holds what has no encoding, such as half a surrogate pair.
    """
    try:
        return msgspec.msgpack.encode(value)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise OtherError("a message between processes cannot be encoded", cause=str(error)) from error


def frame_of(message: object) -> bytes:
    """Return the frame of a message.

    Raises:
        OtherError: it is longer than a frame, or holds what has no encoding, such as half a surrogate pair.
    """
    frame = encoded(message)
    if len(frame) > MAX_FRAME_BYTES:
        text = f"a message between processes would have {len(frame)} bytes, and {MAX_FRAME_BYTES} are the most"
        raise OtherError(text)
    return frame


def send_now(sock: socket.socket, message: object, descriptors: Sequence[int] = ()) -> None:
    """Send one message; blocks if the socket does.

    Raises:
        OtherError: no frame can be made of it.
        OSError: the peer is gone, or would block.
    """
    socket.send_fds(sock, [frame_of(message)], list(descriptors))


def receive_now(sock: socket.socket, decoder: msgspec.msgpack.Decoder[Incoming]) -> tuple[Incoming, list[int]] | None:
    """Receive one message with its descriptors; None at the end. The caller owns the descriptors.

    They are fewer than were sent if this process may open no more files.

    Raises:
        MalformedFrame: too long, or no message.
        BlockingIOError: nothing is there and the socket does not block.
    """
    frame, descriptors, flags, _ = socket.recv_fds(sock, MAX_FRAME_BYTES, MAX_DESCRIPTORS, _CLOEXEC)
    if not frame:
        return None
    try:
        if flags & _TRUNCATED:
            raise MalformedFrame("a frame over the limit")
        return decoder.decode(frame), descriptors
    except (msgspec.DecodeError, MalformedFrame) as error:
        close_all(descriptors)
        raise MalformedFrame(str(error)) from None


def close_all(descriptors: Sequence[int]) -> None:
    """Close descriptors that are not needed."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def hang_up(sock: socket.socket) -> None:
    """Close a socket for both ends, even if a child that the caller has forked holds a copy of it."""
    with contextlib.suppress(OSError):  # it is closed, or the peer is gone
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _duplicates(descriptors: Sequence[int]) -> list[int]:
    """Return duplicates of all of these.

    Raises:
        LocalError: this process may open no more files.
    """
    made: list[int] = []
    try:
        for descriptor in descriptors:
            made.append(os.dup(descriptor))  # noqa: PERF401 - what was made before a failure must be closed
    except OSError as error:
        close_all(made)
        raise local_error(error) from error
    return made


class Channel(Generic[Incoming]):
    """A channel on an event loop. Messages are sent in order; the loop waits for room, never the caller."""

    def __init__(
        self,
        sock: socket.socket,
        incoming: type[Incoming] | object,
        *,
        on_message: Callable[[Incoming, list[int]], None],
        on_closed: Callable[[str], None],
        guard: Callable[[Callable[[], object]], Callable[[], object]] = lambda callback: callback,
    ) -> None:
        """Begin to read.

        Args:
            incoming: type of the messages that may come.
            on_message: called with each message and its descriptors, which it owns.
            on_closed: called once with the reason when the channel has ended by itself.
            guard: wraps what the loop calls.
        """
        self._sock = sock
        with learning:
            self._decoder: msgspec.msgpack.Decoder[Incoming] = msgspec.msgpack.Decoder(incoming)
        self._on_message = on_message
        self._on_closed = on_closed
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._guard = guard
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), guard(self._readable))

    def send(self, message: object, descriptors: Sequence[int] = ()) -> None:
        """Send a message and duplicates of its descriptors, now or as soon as there is room.

        A message to a peer that is gone is dropped: its death is reported by other means.

        Raises:
            OtherError: no frame can be made of it; others can still be sent.
            LocalError: the operating system does not take it, for want of descriptors or memory.
        """
        if self._closed:
            return
        frame = frame_of(message)
        if self._unsent:
            self._unsent.append((frame, _duplicates(descriptors)))
            return
        try:
            socket.send_fds(self._sock, [frame], list(descriptors))
        except BlockingIOError:
            self._unsent.append((frame, _duplicates(descriptors)))
            self._loop.add_writer(self._sock.fileno(), self._guard(self._writable))
        except ConnectionError:
            self._end(END_OF_FILE)  # its forkserver tells what it died of
        except OSError as error:
            raise local_error(error) from error

    @property
    def closed(self) -> bool:
        """Whether it has ended, by whatever side."""
        return self._closed

    @property
    def behind(self) -> bool:
        """Whether the peer has left no room, so that messages wait."""
        return bool(self._unsent)

    def close(self) -> None:
        """Stop and close; ``on_closed`` is not called."""
        if not self._closed:
            hang_up(self.let_go())

    def let_go(self) -> socket.socket:
        """Stop and return the socket, which is the caller's now; ``on_closed`` is not called. It must not be closed."""
        self._closed = True
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        while self._unsent:
            close_all(self._unsent.popleft()[1])
        return self._sock

    def _end(self, reason: str) -> None:
        if not self._closed:
            self.close()
            self._on_closed(reason)

    def _readable(self) -> None:
        for _ in range(16):  # then let other callbacks run
            if self._closed:
                return
            try:
                received = receive_now(self._sock, self._decoder)
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # it died with unread messages; what it sent before is still to be read
            except (MalformedFrame, OSError) as error:
                self._end(f"{type(error).__name__}: {error}")
                return
            if received is None:
                self._end(END_OF_FILE)
                return
            self._on_message(*received)

    def _writable(self) -> None:
        while self._unsent:
            frame, descriptors = self._unsent[0]
            try:
                socket.send_fds(self._sock, [frame], descriptors)
            except BlockingIOError:
                return
            except ConnectionError:
                self._end(END_OF_FILE)
                return
            except OSError as error:
                self._end(f"{error}")
                return
            self._unsent.popleft()
            close_all(descriptors)
        self._loop.remove_writer(self._sock.fileno())
