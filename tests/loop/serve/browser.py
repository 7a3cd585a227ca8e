"""A real browser for tests: Chromium, headless, driven over its DevTools protocol by one websocket."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
START = 120.0  # seconds
KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, "ArrowUp": 38, "Tab": 9, "Enter": 13, "End": 35, "Home": 36}


def find_browser() -> str | None:
    """The path of a Chromium; None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page of it. errors: what its console said at the level of an error; urls: all that was asked for."""

    def __init__(self, binary: str, profile: Path) -> None:
        command = [binary, *SWITCHES, f"--user-data-dir={profile}", "about:blank"]
        self.log = profile.with_suffix(".log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL)
        try:
            self._connect()
        except BaseException:
            self.process.kill()
            raise

    def _connect(self) -> None:
        from websockets.sync.client import connect

        until = time.monotonic() + START
        while (found := re.search(r"listening on (ws://\S+)", self.log.read_text())) is None:
            assert time.monotonic() < until, f"the browser did not start: {self.log.read_text()}"
            time.sleep(0.1)
        self.open_until_end = ExitStack()
        self.socket = self.open_until_end.enter_context(connect(found[1], max_size=None, open_timeout=60))
        self.numbers = itertools.count(1)
        self.errors: list[str] = []
        self.urls: list[str] = []
        self.session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.size(1180, 900)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.open_until_end.close()
        self.process.terminate()
        self.process.wait(timeout=30)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        self.socket.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            answer = json.loads(self.socket.recv(timeout=120))
            self._hear(answer)
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer)
                return dict(answer["result"])

    def _hear(self, event: dict[str, Any]) -> None:
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.errors.append(json.dumps(params["args"])[:500])
        elif method == "Network.requestWillBeSent":
            self.urls.append(params["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            number = next(self.numbers)
            message = {"id": number, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
            self.socket.send(json.dumps(message | {"sessionId": self.session}))

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    def js(self, expression: str) -> Any:
        """The value of an expression; of a promise what it becomes."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = 120) -> None:
        """Until the expression is true, as an element is that is there."""
        until = time.monotonic() + seconds
        while True:
            try:
                if self.js(f"!!({expression})"):
                    return
            except AssertionError:  # the page is being exchanged for another
                pass
            assert time.monotonic() < until, f"never true: {expression}; the page says: {self.text()[:1500]}"
            time.sleep(0.2)

    def text(self) -> str:
        return str(self.js("document.body.innerText"))

    def key(self, key: str) -> None:
        code = KEYS.get(key, ord(key.upper()[0]))
        printed = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            more = printed if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def size(self, width: int, height: int, phone: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def scheme(self, name: str) -> None:
        """light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def screenshot(self, path: Path, whole: bool = False) -> None:
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))
