# SPDX-License-Identifier: Apache-2.0
"""The operator's command, and a server in the daemon's place that answers what a test wants."""

import http.server
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .paths import FARSHORE


@dataclass(frozen=True)
class Answer:
    """What one run of `farshore` gave."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def complaint(self) -> str:
        """The one line that says what is wrong; nothing else was said."""
        assert self.out == "", self.out
        lines = self.err.splitlines()
        assert lines and lines[0].startswith("farshore: "), self.err
        assert len(lines) == 1 or lines[1:] == ["farshore --help tells more"], self.err
        return lines[0]


def farshore(*words: object, timeout: float = 30) -> Answer:
    done = subprocess.run(
        [str(FARSHORE), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


Reply = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextmanager
def impostor(reply: Reply) -> Iterator[str]:
    """Something else than a mirror listens; its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # pylint: disable=invalid-name
            try:
                reply(self)
            except OSError:
                pass  # the command hung up, as it should

        def log_message(self, *_args: object) -> None:  # pylint: disable=arguments-differ
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def says(
    body: bytes, status: int = 200, kind: str = "application/json", **headers: str
) -> Reply:
    def reply(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply
