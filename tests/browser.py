"""Debian's Chromium, headless, driven by its DevTools protocol over two pipes: no driver, no port.

with Browser() as browser:
    page = browser.open(path_or_url)
    page.value("document.title")
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 120.0  # seconds for one answer
KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, "ArrowUp": 38, "Tab": 9, "Enter": 13, "Escape": 27}
KEYS |= {"End": 35, "Home": 36}


class Browser:
    """One process; `with` ends it and removes its profile. The test is skipped where there is no Chromium."""

    def __init__(self) -> None:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        if program is None:
            pytest.skip("no chromium here: apt-get install chromium")
        self._profile = tempfile.mkdtemp()
        down, self._out = _pipe()
        self._in, up = _pipe()
        words = f"exec {program} --headless --no-sandbox --disable-gpu --hide-scrollbars --remote-debugging-pipe "
        words += f"--no-first-run --disable-background-networking --user-data-dir={self._profile} about:blank"
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", f"{words} 3<&{down} 4>&{up}"],
            pass_fds=(down, up),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(down)
        os.close(up)
        self._read, self._count = b"", 0
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._out)
        os.close(self._in)
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, target: Path | str, width: int = 1180, height: int = 900, dark: bool = False) -> Page:
        """A page of its own, loaded."""
        url = target if isinstance(target, str) else target.resolve().as_uri()
        made = self.call("Target.createTarget", url="about:blank")
        session = self.call("Target.attachToTarget", targetId=made["targetId"], flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.size(width, height)
        page.scheme("dark" if dark else "light")
        page.call("Page.navigate", url=url)
        self.wait(lambda event: event["method"] == "Page.loadEventFired" and event.get("sessionId") == session)
        return page

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """The result of one command. Raises RuntimeError with what the browser said."""
        number = self._send(method, session, params)
        while True:
            found = self._message()
            if found.get("id") == number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']}")
                return dict(found["result"])

    def _send(self, method: str, session: str | None, params: dict[str, Any]) -> int:
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        os.write(self._out, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        return self._count

    def wait(self, wanted: Any) -> None:
        """Until an event came for which `wanted(event)` holds."""
        while not any(wanted(event) for event in self.events):
            self._message()

    def _message(self) -> dict[str, Any]:
        """The next message; an event is kept."""
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._read:
            assert time.monotonic() < until, "Chromium does not answer"
            part = os.read(self._in, 1 << 16)
            assert part, "Chromium has ended"
            self._read += part
        text, _, self._read = self._read.partition(b"\0")
        found: dict[str, Any] = json.loads(text)
        if "method" in found:
            self.events.append(found)
        if found.get("method") == "Page.javascriptDialogOpening":  # it would hold the page up; each is accepted
            self._send("Page.handleJavaScriptDialog", found["sessionId"], {"accept": True})
        return found


def _pipe() -> tuple[int, int]:
    """Its two ends, away from 3 and 4, where Chromium will have them."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


class Page:
    """One loaded page."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser, self.session = browser, session

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def value(self, expression: str) -> Any:
        """Of a JavaScript expression, as JSON; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def go(self, url: str) -> None:
        """To another address, until it is loaded."""
        self.call("Page.navigate", url=url)
        self.until(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    def until(self, expression: str, seconds: float = 120) -> None:
        """Until the expression is true, as an element is that is there."""
        end = time.monotonic() + seconds
        while True:
            try:
                if self.value(f"!!({expression})"):
                    return
            except AssertionError:  # the page is being exchanged for another
                pass
            assert time.monotonic() < end, f"never true: {expression}; the page says: {self.text()[:1500]}"
            time.sleep(0.2)

    def text(self) -> str:
        return str(self.value("document.body.innerText"))

    def _events(self, method: str) -> list[dict[str, Any]]:
        mine = [event for event in self.browser.events if event.get("sessionId") == self.session]
        return [event["params"] for event in mine if event["method"] == method]

    @property
    def errors(self) -> list[str]:
        """What the console would show in red or yellow, each with the address that it is about."""
        said = [event["exceptionDetails"]["text"] for event in self._events("Runtime.exceptionThrown")]
        entries = [event["entry"] for event in self._events("Log.entryAdded")]
        said += [f"{entry['text']} {entry.get('url', '')}" for entry in entries if entry["level"] != "info"]
        calls = [event for event in self._events("Runtime.consoleAPICalled") if event["type"] in ("error", "warning")]
        return said + [str(event["args"]) for event in calls]

    @property
    def requests(self) -> list[str]:
        """Every address that it asked for, data URIs aside."""
        asked = [event["request"]["url"] for event in self._events("Network.requestWillBeSent")]
        return [url for url in asked if not url.startswith("data:")]

    def press(self, key: str) -> None:
        """A key on what has the focus."""
        number = KEYS.get(key, ord(key.upper()[0]))
        printed = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            more = printed if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=number, **more)

    def type(self, text: str) -> None:
        """Into what has the focus."""
        self.call("Input.insertText", text=text)

    def size(self, width: int, height: int, phone: bool = False) -> None:
        """Of the window in pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def scheme(self, name: str) -> None:
        """light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def move(self, x: float, y: float) -> None:
        """The pointer, to a point of the window."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, path: Path, whole: bool = True) -> None:
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))
