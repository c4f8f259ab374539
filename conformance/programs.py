"""Runs the long-lived commands that stand beside a server, and reads what the server recorded of them."""

import contextlib
import json
import subprocess
import time

from server import binary


@contextlib.contextmanager
def running(home, arguments, environment, ready):
    """Runs `palisade ARGUMENTS` until the block is left; enters it once `ready()` is true."""
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "out", "ab") as out, open(home / "log", "ab") as log:
        process = subprocess.Popen(
            [str(binary()), *map(str, arguments)], env=environment, stdout=out, stderr=log
        )
    try:
        deadline = time.monotonic() + 30
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("it did not start:\n" + (home / "log").read_text())
            time.sleep(0.02)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
    assert "panicked" not in (home / "log").read_text()


def recorded(server, arn):
    """What `arn` did by the server's record: (operation, error code or None), the oldest first."""
    return [
        (event["eventName"], event.get("errorCode"))
        for event in events(server)
        if event.get("userIdentity", {}).get("arn") == arn
    ]


def events(server):
    """The server's record, the oldest first."""
    done = server.palisade("verify", "--data", server.data, "--records")
    return [json.loads(line) for line in done.stdout.splitlines()]
