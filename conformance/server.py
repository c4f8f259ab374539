"""Runs the built `palisade dev` and makes clients for it.

A server has its own data directory and a free loopback port, so that tests
meet nobody else's keys, users or clock.
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import boto3
import botocore.config

ROOT = pathlib.Path(__file__).resolve().parent.parent
REGION = "us-east-1"
ACCOUNT = "111122223333"
OTHER_ACCOUNT = "444455556666"
# Root credentials of the two accounts. They guard a server that lives for one test run.
ROOT_KEY, ROOT_SECRET = "AKIAQPALISADEROOT111", "conformance/secret+of=account.one0000001"
OTHER_KEY, OTHER_SECRET = "AKIAQPALISADEROOT222", "conformance/secret+of=account.two0000002"

# Building a client loads its model; the session's loader keeps it.
SESSION = boto3.session.Session()
CONFIG = botocore.config.Config(
    retries={"total_max_attempts": 1, "mode": "standard"},
    connect_timeout=10,
    read_timeout=60,
    parameter_validation=True,
)
# For tests whose point is what the server says of arguments the client would refuse.
UNCHECKED = CONFIG.merge(botocore.config.Config(parameter_validation=False))


def binary():
    """The program under test: `PALISADE_BIN`, or the newest that was built."""
    named = os.environ.get("PALISADE_BIN")
    if named:
        return pathlib.Path(named).resolve()
    built = [ROOT / "target" / profile / "palisade" for profile in ("release", "debug")]
    built = [path for path in built if path.exists()]
    if not built:
        raise RuntimeError("there is no palisade: run `cargo build -p palisade`, or name it in PALISADE_BIN")
    return max(built, key=lambda path: path.stat().st_mtime)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environment(home):
    """This process's environment without anything that names an AWS account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    kept.update(
        HOME=str(home),
        XDG_RUNTIME_DIR=str(home),
        AWS_CONFIG_FILE=str(home / "config"),
        AWS_SHARED_CREDENTIALS_FILE=str(home / "credentials"),
        AWS_EC2_METADATA_DISABLED="true",
    )
    return kept


class Server:
    """A running `palisade dev`."""

    # What stands before the program's name, for tests that give it surroundings of their own.
    wrapper = ()

    def __init__(self, home, *flags, credentials=True):
        self.home = pathlib.Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        self.data = self.home / "data"
        self.port = free_port()
        self.flags = list(flags)
        if credentials:
            self.flags += ["--credential", f"{ROOT_KEY}:{ROOT_SECRET}:{ACCOUNT}"]
            self.flags += ["--credential", f"{OTHER_KEY}:{OTHER_SECRET}:{OTHER_ACCOUNT}"]
        self.process = None
        self.ahead = 0
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Starts it, and returns once it answers."""
        command = [*self.wrapper, binary(), "dev", "--data", self.data, "--listen", f"127.0.0.1:{self.port}", *self.flags]
        with open(self.home / "banner", "ab") as banner, open(self.home / "log", "ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdout=banner, stderr=log, env=clean_environment(self.home)
            )
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.get("/_palisade/health")["status"] == "ok":
                    return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("palisade dev did not start:\n" + self.log_text())
            time.sleep(0.01)

    def stop(self):
        """Asks it to stop, as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)

    def kill(self):
        """`kill -9`."""
        self.process.kill()
        self.process.wait(30)

    def banner(self):
        """What it printed for its user to paste."""
        return (self.home / "banner").read_text()

    def log_text(self):
        return (self.home / "log").read_text(errors="replace")

    def request(self, method, path, body=None, headers=None):
        """One plain HTTP request: status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def get(self, path):
        return json.loads(self.request("GET", path)[2])

    def advance(self, seconds):
        """Moves a virtual clock."""
        status, _, body = self.request("POST", "/_palisade/clock", json.dumps({"advance_seconds": seconds}))
        assert status == 200, body
        self.ahead += seconds

    def metric(self, name):
        """A counter's value, summed over its labels."""
        text = self.request("GET", "/_palisade/metrics")[2].decode()
        lines = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)", text, re.MULTILINE)
        assert lines, f"no metric {name} in:\n{text}"
        return sum(float(value) for value in lines)

    def client(self, service, credentials=None, region=REGION, config=CONFIG):
        """A boto3 client; of the first account's root user unless told otherwise.

        `credentials` is what CreateAccessKey or AssumeRole gave.
        """
        credentials = credentials or {"AccessKeyId": ROOT_KEY, "SecretAccessKey": ROOT_SECRET}
        return SESSION.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials.get("SessionToken"),
            config=config,
        )

    def other_client(self, service, **more):
        """A client of the second account's root user."""
        return self.client(service, {"AccessKeyId": OTHER_KEY, "SecretAccessKey": OTHER_SECRET}, **more)

    def environment(self, credentials=None):
        """The environment of a command that is to use this server, as `palisade env` would set it."""
        credentials = credentials or {"AccessKeyId": ROOT_KEY, "SecretAccessKey": ROOT_SECRET}
        variables = clean_environment(self.home)
        variables.update(
            AWS_ENDPOINT_URL=self.url,
            AWS_REGION=REGION,
            AWS_DEFAULT_REGION=REGION,
            AWS_ACCESS_KEY_ID=credentials["AccessKeyId"],
            AWS_SECRET_ACCESS_KEY=credentials["SecretAccessKey"],
            PATH=f"{binary().parent}{os.pathsep}{os.environ['PATH']}",
        )
        if "SessionToken" in credentials:
            variables["AWS_SESSION_TOKEN"] = credentials["SessionToken"]
        return variables

    def palisade(self, *arguments, credentials=None, check=True):
        """Runs another `palisade` command against this server."""
        done = subprocess.run(
            [str(binary()), *map(str, arguments)],
            env=self.environment(credentials),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done


def in_parallel(count, work):
    """Runs `work(number)` for each number at once, and gives the results in order."""
    results = [None] * count
    failures = []

    def run(number):
        try:
            results[number] = work(number)
        except Exception as failure:  # noqa: BLE001 - handed to the caller below
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results
