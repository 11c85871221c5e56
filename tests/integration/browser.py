"""Chromium without a window, spoken to over its DevTools protocol by a pair of pipes.

Source: https://chromedevtools.github.io/devtools-protocol/; messages are JSON with a NUL behind them.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_S

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")


def installed() -> str:
    """Return the path of Chromium, empty if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), "")


class Page:
    """One page: what is asked of it, and all that it did meanwhile."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._unread = b""
        self._number = 0
        self._session = ""
        self.events: list[tuple[str, dict[str, Any]]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """Return the answer to a command."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        number = self._number
        while (told := self._next()).get("id") != number:
            pass
        assert "error" not in told, f"{method}: {told['error']}"
        return dict(told["result"])

    def open(self, path: Path, *, width: int, dark: bool = False, medium: str = "screen") -> None:
        """Show a file in a window of some width."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media=medium, features=[scheme])
        self.events.clear()
        self.ask("Page.navigate", url=path.as_uri())
        while not any(name == "Page.loadEventFired" for name, _ in self.events):
            self._next()

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression in JavaScript."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self) -> bytes:
        """Return all of the page as a PNG."""
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    def press(self, key: str) -> None:
        """Press a key, and let it go."""
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.ask(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                **(text if kind == "keyDown" else {}),
            )  # fmt: skip

    def _next(self) -> dict[str, Any]:
        """Return the next message, and keep it if it is an event."""
        deadline_s = time.monotonic() + PATIENCE_S
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline_s - time.monotonic()))
            assert ready, f"Chromium said nothing for {PATIENCE_S} s"
            data = os.read(self._from, 1 << 20)
            assert data, "Chromium ended"
            self._unread += data
        message, _, self._unread = self._unread.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        if "method" in told:
            self.events.append((told["method"], told["params"]))
        return told


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Start Chromium, and end it with the block.

    Args:
        folder: where it keeps its things, of its own.
    """
    program = installed()
    their_in, to_browser = os.pipe()
    from_browser, their_out = os.pipe()
    # It speaks over descriptors 3 and 4; a shell puts ours there, wherever they are.
    start = f'exec "$0" "$@" 3<&{their_in} 4>&{their_out}'
    words = [
        "bash", "-c", start, program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--remote-debugging-pipe", f"--user-data-dir={folder}", "--no-first-run", "--disable-background-networking",
        "--disable-dev-shm-usage", "about:blank",
    ]  # fmt: skip
    with (folder / "stderr").open("wb") as said:
        process = subprocess.Popen(words, stdout=said, stderr=said, pass_fds=(their_in, their_out))
    os.close(their_in)
    os.close(their_out)
    try:
        yield Page(to_browser, from_browser)
    finally:
        os.close(to_browser)
        os.close(from_browser)
        process.terminate()
        try:
            process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
