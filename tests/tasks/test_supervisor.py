from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from tasks.children import Child
from tasks.process import stop_on_signals
from tasks.supervisor import StartError, _check_free

ROOT = Path(__file__).parents[2]


def until(true, seconds=30.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = true()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def a_child(tmp_path, program, **options):
    return Child("child", [sys.executable, "-c", program], dict(os.environ), tmp_path / "child.log", ROOT, **options)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_that_is_killed_is_started_again(tmp_path):
    child = a_child(tmp_path, "import time; time.sleep(60)")
    child.start()
    first = child.pid
    os.kill(first, signal.SIGKILL)

    def again():
        child.tend()
        return child.pid not in {None, first}

    until(again)
    child.ask_to_stop()
    child.wait_stopped()
    assert child.pid is None


def test_a_child_that_ends_at_once_is_started_again_with_growing_pauses(tmp_path):
    child = a_child(tmp_path, "print('started')")
    child.start()
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        child.tend()
        time.sleep(0.02)
    child.wait_stopped()
    assert 2 <= (tmp_path / "child.log").read_text().count("started") <= 5


def test_a_child_that_does_not_stop_is_killed_with_its_own_children(tmp_path):
    program = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"open({str(tmp_path / 'inner')!r}, 'w').write(str(inner.pid)); time.sleep(60)"
    )
    child = a_child(tmp_path, program, stop_seconds=0.3)
    child.start()
    inner = until(lambda: (tmp_path / "inner").exists() and (tmp_path / "inner").read_text())
    child.ask_to_stop()
    child.wait_stopped()
    until(lambda: not alive(int(inner)))


def test_a_port_in_use_is_told_by_name():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StartError, match="HUIBAN_PORT"):
            _check_free("127.0.0.1", taken.getsockname()[1])


def test_signals_ask_a_loop_to_stop():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        stopping = stop_on_signals()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.wait(5)
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])


STORM = """
import os, signal, threading
from tasks.process import stop_on_signals
stopping = stop_on_signals()
def storm():
    for _ in range(20000):
        os.kill(os.getpid(), signal.SIGTERM)
sender = threading.Thread(target=storm)
sender.start()
while sender.is_alive():
    stopping.set()
    stopping.wait(0)
"""


def test_a_signal_that_interrupts_another_ones_handler_neither_waits_nor_nests():
    subprocess.run([sys.executable, "-c", STORM], cwd=ROOT, check=True, timeout=60)


class Running:
    def __init__(self, data_dir):
        self.data_dir = data_dir
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HUIBAN_")}
        environment |= {"HUIBAN_DATA_DIR": str(data_dir), "HUIBAN_PORT": str(secrets.randbelow(2000) + 28000)}
        with (data_dir.parent / "out.txt").open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tasks.supervisor"], cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    def demo(self):
        file = self.data_dir / "demo.json"
        if self.process.poll() is not None:
            raise AssertionError((self.data_dir.parent / "out.txt").read_text())
        return json.loads(file.read_text()) if file.exists() else None

    def processes(self):
        """Return what runs in the supervisor's session: groups may differ, the session stays whoever dies."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and alive(entry.name) and os.getsid(int(entry.name)) == self.process.pid:
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found


@pytest.mark.full
@pytest.mark.committing
@pytest.mark.xdist_group("supervisor")
def test_ctrl_c_in_the_middle_of_the_start_ends_it_and_leaves_no_process_behind(tmp_path):
    running = Running(tmp_path / "data")
    try:
        until(lambda: any("granian" in command for command in running.processes().values()), 60)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(90) == 0
        assert running.processes() == {}
        assert not (running.data_dir / "demo.json").exists()
    finally:
        for pid in running.processes():
            os.kill(pid, signal.SIGKILL)
        running.process.wait()


@pytest.mark.full
@pytest.mark.committing
@pytest.mark.xdist_group("supervisor")
def test_the_whole_product_starts_survives_kills_and_leaves_no_process_behind(tmp_path):
    running = Running(tmp_path / "data")
    try:
        demo = until(running.demo, 240)
        assert set(demo) == {"base_url", "admin_url", "staff", "partner", "wechat"}
        assert all(set(person) == {"email", "password", "totp_secret", "role"} for person in demo["staff"])
        assert len(demo["wechat"]["codes"]) >= 2
        assert (running.data_dir / "demo.json").stat().st_mode & 0o077 == 0
        live = f"{demo['base_url']}/livez"
        assert requests.get(live, timeout=5).status_code == 200
        processes = running.processes()
        expected = ["valkey", "emulator", "granian", "tasks.relay", "tasks.tick", "worker events", "worker messages", "worker schedule"]
        assert [name for name in expected if not any(name in command for command in processes.values())] == []
        for name in ("tasks.relay", "worker events", "valkey", "-m granian"):
            # Of the web's processes the first is the one that has the others as children.
            victim = min(pid for pid, command in running.processes().items() if name in command)
            os.kill(victim, signal.SIGKILL)
            until(lambda name=name, victim=victim: any(name in c for pid, c in running.processes().items() if pid != victim))

        def answers():
            try:
                return requests.get(live, timeout=2).ok
            except requests.RequestException:
                return False

        until(answers, 60)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(60) == 0
        assert running.processes() == {}
        assert not (running.data_dir / "demo.json").exists()

        running = Running(tmp_path / "data")
        until(running.demo, 240)
        running.process.kill()
        running.process.wait()
        until(lambda: running.processes() == {}, 40)
    finally:
        for pid in running.processes():
            os.kill(pid, signal.SIGKILL)
        running.process.wait()
