"""Debian's chromium without a window, driven through a pipe: what a page looks like and does where it is really shown."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SECONDS = 60  # for whatever is waited for: an answer, a page, a change on it
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-pipe",
)


class Silent(Exception):
    """The browser has ended, or has not said in SECONDS what was waited for."""


class Browser:
    """One tab. Every call is a command of the DevTools protocol: browser("Page.reload").

    Raises Silent where the browser does not start, and wherever it does not answer; nothing waits longer than SECONDS.
    """

    def __init__(self, profile: Path) -> None:
        (commands, ours), (theirs, answers) = os.pipe(), os.pipe()
        line = f'exec "$0" "$@" 3<&{commands} 4>&{answers}'  # the descriptors that chromium listens to
        self.process = subprocess.Popen(
            ["bash", "-c", line, CHROMIUM, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(commands)
        os.close(answers)
        self._to, self._from = ours, theirs
        self._number, self._rest, self._session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        try:
            self._open_tab()
        except BaseException:
            self.__exit__()
            raise

    def _open_tab(self) -> None:
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._to)
        os.close(self._from)

    def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        said = {"id": self._number, "method": method, "params": params}
        said |= {"sessionId": self._session} if self._session else {}
        end = time.monotonic() + SECONDS
        try:
            os.write(self._to, json.dumps(said).encode() + b"\0")
        except BrokenPipeError:
            raise Silent("chromium has ended") from None
        while True:
            answer = self._next(end)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self, end: float) -> dict[str, Any]:
        """The next message; `end`: until when, on the monotonic clock."""
        while b"\0" not in self._rest:
            if not select.select([self._from], [], [], max(0, end - time.monotonic()))[0]:
                raise Silent(f"chromium has not answered in {SECONDS} s")
            if not (read := os.read(self._from, 2**20)):
                raise Silent("chromium has ended")
            self._rest += read
        first, self._rest = self._rest.split(b"\0", 1)
        return json.loads(first)

    def show(self, page: Path, width: int, *, dark: bool = False, anchor: str = "", script: bool = True) -> None:
        """Load a file anew in a window of this width."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", features=[theme])
        self("Emulation.setScriptExecutionDisabled", value=not script)
        for address in ("about:blank", page.absolute().as_uri() + (f"#{anchor}" if anchor else "")):
            self.events.clear()
            self("Page.navigate", url=address)
            end = time.monotonic() + SECONDS
            while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
                self.events.append(self._next(end))

    def value(self, expression: str) -> Any:
        """What an expression in the page is, as JSON."""
        answer = self("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression in the page is true."""
        end = time.monotonic() + SECONDS
        while not self.value(expression):
            assert time.monotonic() < end, f"not in {SECONDS} s: {expression}"
            time.sleep(0.02)

    def click(self, selector: str) -> None:
        """As a user does: where the element is seen."""
        place = self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def press(self, key: str, code: int) -> None:
        """A key, for what has the focus."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def _params(self, *methods: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") in methods]

    @property
    def complaints(self) -> list[Any]:
        """Errors of scripts, and what the page's own policy forbade."""
        return self._params("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")

    @property
    def asked(self) -> list[str]:
        """Addresses that were asked for, beside what the page itself holds, and what its policy forbade."""
        forbidden = {
            one["requestId"] for one in self._params("Network.loadingFailed") if one.get("blockedReason") == "csp"
        }
        sent = [one for one in self._params("Network.requestWillBeSent") if one["requestId"] not in forbidden]
        return [one["request"]["url"] for one in sent if not one["request"]["url"].startswith("data:")]

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self("Page.captureScreenshot", format="png")["data"]))
