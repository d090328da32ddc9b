"""A production start with anything missing or unsafe is refused, and the setting is named."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import UnsafeSettingsError, load_settings

ROOT = Path(__file__).parents[2]


def key(letter: bytes) -> str:
    return base64.b64encode(letter * 32).decode()


@pytest.fixture
def production(tmp_path) -> dict[str, str]:
    return {
        "env": "production",
        "database_url": "postgresql://huiban@db/huiban",
        "redis_url": "redis://redis:6379/0",
        "secret_key": "s" * 40,
        "data_key": f"k1:{key(b'd')}",
        "index_key": key(b"i"),
        "wechat_appid": "wx1234567890abcdef",
        "wechat_secret": "w" * 32,
        "wechat_push_token": "push-token-of-our-own",
        "wechat_push_aes_key": "Z" * 43,
        "kuaidi100_key": "k",
        "kuaidi100_salt": "salt-of-our-own",
        "data_dir": str(tmp_path),
    }


def test_safe_production_settings_are_taken(production):
    assert load_settings(**production).production


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("secret_key", "demo-secret-key-that-production-refuses"),
        ("secret_key", "short"),
        ("secret_key", ""),
        ("data_key", ""),
        ("data_key", "nonsense"),
        ("index_key", "nonsense"),
        ("index_key", ""),
        ("database_url", ""),
        ("database_url", "sqlite:///x.db"),
        ("redis_url", ""),
        ("wechat_api_base", "http://127.0.0.1:9000/"),
        ("wechat_secret", "demo-wechat-secret"),
        ("wechat_push_token", "demo-push-token"),
        ("kuaidi100_salt", "demo-kuaidi100-salt"),
        ("timezone", "Mars/Olympus"),
        ("port", "99999"),
    ],
)
def test_each_unsafe_value_is_refused_by_name(production, name, value):
    with pytest.raises(UnsafeSettingsError) as refused:
        load_settings(**(production | {name: value}))
    assert any(problem.startswith(f"HUIBAN_{name.upper()}:") for problem in refused.value.problems), refused.value.problems


def test_a_data_key_may_not_be_the_index_key(production):
    with pytest.raises(UnsafeSettingsError, match="HUIBAN_INDEX_KEY"):
        load_settings(**(production | {"index_key": key(b"d")}))


def test_a_data_folder_that_everybody_can_write_is_refused(production, tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(UnsafeSettingsError, match="HUIBAN_DATA_DIR"):
        load_settings(**production)


def test_the_environment_is_read_with_its_prefix(monkeypatch):
    monkeypatch.setenv("HUIBAN_PORT", "8123")
    assert load_settings().port == 8123


def test_an_unsafe_start_exits_non_zero_and_says_why():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUIBAN_")}
    done = subprocess.run(
        [sys.executable, "-m", "tasks.supervisor"],
        cwd=ROOT,
        env=environment | {"HUIBAN_ENV": "production"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "HUIBAN_SECRET_KEY" in done.stderr
    assert "Traceback" not in done.stderr
