"""Starting tare.images.worker and hearing what it says."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import Any

from tare.errors import Internal, Unavailable, from_fields

_START = "import sys; sys.path[:] = {path!r}; from tare.images.worker import main; main()"


class Workers:
    """The worker processes of one store. Each lives for one job; ``close`` ends those that still run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def run(
        self, request: dict[str, Any], descriptors: Sequence[int] = (), image: Callable[[dict[str, Any]], None] | None = None
    ) -> Any:
        """Do a job and wait for it. ``image`` is called for each image that the worker has ready; the worker goes on when it
        returns. Raises what the worker raised; Internal when it died."""
        command = [sys.executable, "-I", "-S", "-c", _START.format(path=sys.path)]
        with tempfile.TemporaryFile() as complaint:
            with self._lock:
                if self._closed:
                    raise Unavailable("the image store is closing")
                process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaint, pass_fds=tuple(descriptors)
                )
                self._running.add(process)
            try:
                return self._listen(process, request, image, complaint)
            finally:
                process.kill()
                process.wait()
                for stream in (process.stdin, process.stdout):
                    if stream is not None:
                        with contextlib.suppress(OSError):
                            stream.close()
                with self._lock:
                    self._running.discard(process)

    def _listen(
        self,
        process: subprocess.Popen[bytes],
        request: dict[str, Any],
        image: Callable[[dict[str, Any]], None] | None,
        complaint: Any,
    ) -> Any:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        for line in process.stdout:
            message = json.loads(line)
            if "error" in message:
                raise from_fields(**message["error"])
            if "done" in message:
                process.stdin.close()
                process.wait()
                return message["done"]
            assert image is not None
            image(message["image"])
            process.stdin.write(b"\n")
            process.stdin.flush()
        status = process.wait()
        complaint.seek(0)
        lines = complaint.read().decode(errors="replace").strip().splitlines()
        raise Internal(f"the worker for {request['job']} died ({lines[-1] if lines else f'status {status}'})")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()
