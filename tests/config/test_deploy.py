"""The deployment examples are parsed, and everything they start exists. No container engine runs them here."""

from __future__ import annotations

import configparser
import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from config.settings import Settings

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "examples/deploy").glob("*.service"))


def test_compose_starts_every_process_and_only_what_exists():
    compose = yaml.safe_load((ROOT / "examples/deploy/compose.yaml").read_text())
    services = compose["services"]
    assert {"db", "redis", "migrate", "web", "relay", "tick", "worker"} == set(services)
    for name in ("relay", "tick", "worker"):
        command = services[name]["command"]
        assert command[:2] == ["python", "-m"]
        assert importlib.util.find_spec(command[2]) is not None
        assert services[name]["restart"] == "always"
    assert set(compose["volumes"]) == {"db", "redis", "data"}
    assert "appendonly" in " ".join(services["redis"]["command"])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_restarts_always_and_starts_what_exists(unit):
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.read(unit)
    assert parsed["Service"]["Restart"] == "always"
    module = re.search(r"-m (\S+)$", parsed["Service"]["ExecStart"])
    if module:
        assert importlib.util.find_spec(module.group(1)) is not None
    else:
        assert parsed["Service"]["ExecStart"].endswith("wsgi:create_app")


def test_the_example_names_every_setting_and_no_other():
    named = set(re.findall(r"^#?\s?HUIBAN_(\w+)=", (ROOT / "config/env.example").read_text(), flags=re.MULTILINE))
    known = {name.upper() for name in Settings.model_fields}
    assert named <= known
    assert known - named <= {"INDEX_KEY_VERSION", "KUAIDI100_API_BASE"}


def test_the_image_and_the_example_hold_no_secret():
    for path in (ROOT / "examples/deploy").iterdir():
        assert not re.search(r"(?i)(password|secret)\s*[:=]\s*[\"']?[A-Za-z0-9]{8,}", path.read_text()), path
