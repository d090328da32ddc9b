"""What import-linter cannot say: other domains' models are private, and every domain stands on the ladder."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
# These two read several domains' tables in one statement (home, KPI roll-ups).
READS_ALL = ("server.flows", "server.reporting")


def graph() -> grimp.ImportGraph:
    return grimp.build_graph("server", "admin", "miniprogram_api", "tasks", "config", cache_dir=None)


def test_a_domains_models_are_private():
    found = graph()
    intruders = []
    for models in (module for module in found.modules if re.fullmatch(r"server\.\w+\.models", module)):
        domain = models.rpartition(".")[0]
        for importer in found.find_modules_that_directly_import(models):
            inside = importer == domain or importer.startswith(f"{domain}.")
            # The Flask-Security mixins are applied to the staff models in one place.
            excused = importer.startswith(READS_ALL) or (importer, domain) == ("admin.auth", "server.staff")
            if not inside and not excused:
                intruders.append(f"{importer} -> {models}")
    assert intruders == []


def test_every_domain_has_a_rung():
    contracts = tomllib.loads((ROOT / "importlinter.toml").read_text())["tool"]["importlinter"]["contracts"]
    ladder = next(contract for contract in contracts if contract["name"] == "Domains form one ladder")
    rungs = {name.strip("() ") for rung in ladder["layers"] for name in rung.split("|")}
    domains = {path.name for path in (ROOT / "server").iterdir() if (path / "__init__.py").exists()} - {"migrations"}
    assert domains <= rungs


def test_no_module_grows_past_one_reading():
    long = {}
    for part in ("server", "admin", "miniprogram_api", "tasks", "config"):
        for path in (ROOT / part).rglob("*.py"):
            lines = len(path.read_text().splitlines())
            if lines > 450 and "migrations/versions" not in str(path):
                long[str(path.relative_to(ROOT))] = lines
    assert long == {}
