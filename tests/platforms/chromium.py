"""A headless Chromium, spoken to over a pipe: https://chromedevtools.github.io/devtools-protocol/."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
# The browser reads what it is told from this descriptor, and writes what it says to the next.
FROM = 3


def find() -> str | None:
    """The browser's program, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page:
    """One page of a browser."""

    def __init__(self, to: int, answers: Iterator[dict[str, Any]]) -> None:
        self._to, self._answers = to, answers
        self._sent = 0
        self._session: dict[str, str] = {}
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        self.tell("Page.enable")

    def tell(self, method: str, **params: object) -> dict[str, Any]:
        """Calls a method of the protocol. Raises RuntimeError where the browser refuses."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params, **self._session}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answer = next(each for each in self._answers if each.get("id") == self._sent)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, url: str) -> None:
        """Goes there and waits until it is loaded."""
        self.tell("Page.navigate", url=url)
        next(each for each in self._answers if each.get("method") == "Page.loadEventFired")

    def value(self, expression: str) -> Any:
        """What an expression gives in the page; a promise is waited for."""
        got = self.tell("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in got:
            raise RuntimeError(got["exceptionDetails"]["exception"].get("description", got["exceptionDetails"]["text"]))
        return got["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Waits until an expression is true in the page."""
        self.value(
            f"new Promise((done) => {{ const look = () => ({condition}) ? done() : setTimeout(look, 20); look() }})"
        )

    def drop(self, file: Path, x: int, y: int) -> None:
        """Drops a file there, as from a file manager."""
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.tell("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def screenshot(self, path: Path) -> None:
        """Writes what the page shows, as PNG."""
        path.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot")["data"]))


@contextmanager
def page(program: str, profile: Path) -> Iterator[Page]:
    """A page of a browser of its own.

    Args:
        program: the browser's.
        profile: an empty folder.
    """
    their_in, to = os.pipe()
    back, their_out = os.pipe()

    def descriptors() -> None:
        # Both are copied out of the way first: one may be where the other is to go.
        ours = [os.dup(their_in), os.dup(their_out)]
        for place, each in enumerate(ours, start=FROM):
            os.dup2(each, place)

    command = [program, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    browser = subprocess.Popen(
        command,
        close_fds=False,
        preexec_fn=descriptors,  # noqa: PLW1509  it does nothing but copy descriptors
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_in)
    os.close(their_out)
    try:
        with os.fdopen(back, "rb") as answers:
            yield Page(to, _messages(answers))
    finally:
        os.write(to, b'{"id": 0, "method": "Browser.close"}\0')
        browser.wait(timeout=20)
        os.close(to)


def _messages(stream: Any) -> Iterator[dict[str, Any]]:
    """What the browser says: JSON, each ended by a zero byte."""
    rest = b""
    while chunk := stream.read1(1 << 16):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from map(json.loads, whole)
