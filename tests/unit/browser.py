"""A headless browser for tests: pages are opened, pressed and looked at as a reader would.

Chromium is driven over two pipes in its own DevTools protocol, so that no other package is needed.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
WHY_SKIPPED = "NO BROWSER: apt-get install chromium, to test the page as its readers see it"
QUIET = ("quic", "background-networking", "component-update", "sync", "gpu")
PATIENCE_S = 60.0


class Browser:
    """One page in one browser; use as a context manager.

    Parameters
    ----------
    profile : path
        Empty folder for what the browser writes.
    """

    def __init__(self, profile: Path) -> None:
        (self._read_here, write_there), (read_there, self._write_here) = os.pipe(), os.pipe()
        command = [str(BROWSER), "--headless", "--no-sandbox", "--no-first-run"]
        command += [f"--disable-{name}" for name in QUIET]
        command += [f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        # Chromium reads commands from descriptor 3 and answers on 4.
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{read_there} 4>&{write_there}', "-", *command],
            pass_fds=(read_there, write_there),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_there)
        os.close(write_there)
        self._number, self._rest, self._session = 0, b"", ""
        self.messages: list[dict[str, Any]] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        answer = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = answer["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._read_here)
        os.close(self._write_here)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events on the way are kept in `messages`."""
        self._number += 1
        content: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            content["sessionId"] = self._session
        os.write(self._write_here, json.dumps(content).encode() + b"\0")
        while True:
            message = self._receive()
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.messages.append(message)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._read_here, 1 << 20)
            assert part, "the browser has gone"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def open(self, page: Path, width: int, height: int) -> None:
        """Load a file in a window of this size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=page.as_uri())
        self.wait("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + PATIENCE_S
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"not within {PATIENCE_S:.0f} s: {condition}"
            time.sleep(0.05)

    def press(self, key: str, code: int, times: int = 1) -> None:
        """Press a key, for whatever has the focus."""
        for _ in range(times):
            for kind in ("rawKeyDown", "keyUp"):
                names = {"key": key, "code": key, "windowsVirtualKeyCode": code}
                self.call("Input.dispatchKeyEvent", type=kind, **names)

    def click(self, x: float, y: float) -> None:
        """Click at a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            where = {"x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, **where)

    def picture(self) -> bytes:
        """PNG of the window."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def print(self) -> bytes:
        """PDF of the page as it would be printed."""
        options = {"preferCSSPageSize": True, "printBackground": True}
        return base64.b64decode(self.call("Page.printToPDF", **options)["data"])

    @property
    def complaints(self) -> list[str]:
        """What the page's console and its security policy said."""
        entries = [m["params"] for m in self.messages if m.get("method") == "Log.entryAdded"]
        texts = [entry["entry"]["text"] for entry in entries]
        thrown = [m for m in self.messages if m.get("method") == "Runtime.exceptionThrown"]
        return texts + [json.dumps(m["params"]) for m in thrown]
