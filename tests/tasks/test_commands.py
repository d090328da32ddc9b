from __future__ import annotations

import json
from dataclasses import replace
from threading import Barrier, Thread
from types import SimpleNamespace
from uuid import uuid4

import click
import pytest
from flask import Flask

from server.kernel.engines import make_engine
from server.kernel.errors import NotFoundError
from server.migrations import runner
from tasks import commands, demo
from tasks.greeting import Greeting


@pytest.fixture
def cli(core, tmp_path):
    app = Flask("tests", root_path=str(tmp_path))
    app.extensions["huiban"] = core
    commands.init_app(app)
    return app.test_cli_runner()


@pytest.fixture
def one_loader(monkeypatch):
    calls = []

    def load(session, context):
        calls.append(context.rng.random())
        context.credentials["partner"] = {"key": "k", "secret": "s"}

    monkeypatch.setattr(demo, "LOADERS", ("staff",))
    monkeypatch.setattr(demo, "find_spec", lambda name: name)
    monkeypatch.setattr(demo, "import_module", lambda name: SimpleNamespace(load=load))
    return calls


@pytest.mark.committing
def test_the_demonstration_is_loaded_once_for_each_database(cli, one_loader):
    first, second = cli.invoke(args=["demo"]), cli.invoke(args=["demo"])
    assert first.exit_code == second.exit_code == 0
    assert json.loads(first.output) == json.loads(second.output) == {"partner": {"key": "k", "secret": "s"}}
    assert len(one_loader) == 1


@pytest.mark.committing
def test_three_starts_at_once_load_one_demonstration(core, one_loader):
    barrier = Barrier(3)
    found = []

    def work():
        barrier.wait()
        found.append(demo.load_demo(core))

    threads = [Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(one_loader) == 1
    assert found == [{"partner": {"key": "k", "secret": "s"}}] * 3


def test_the_demonstration_is_refused_in_production(core):
    production = core.settings.model_copy(update={"env": "production"})
    with pytest.raises(RuntimeError):
        demo.load_demo(replace(core, settings=production))


@pytest.mark.committing
def test_an_outbox_that_is_well_ends_with_zero(cli):
    result = cli.invoke(args=["queues", "health"])
    assert result.exit_code == 0
    assert "oldest_pending_seconds: 0.0" in result.output
    assert cli.invoke(args=["queues", "stuck"]).output == ""


def test_trying_an_unknown_delivery_again_is_refused(cli):
    result = cli.invoke(args=["queues", "retry", str(uuid4())])
    assert isinstance(result.exception, NotFoundError)


def test_a_database_without_migrations_is_told_apart(cli, core, tmp_path, monkeypatch):
    migrated = cli.invoke(args=["db", "current"])
    assert (migrated.exit_code, [migrated.output.strip()]) == (0, runner.heads())
    new = make_engine(f"sqlite:///{tmp_path / 'new.db'}")
    monkeypatch.setattr(core.db, "engine", new)
    result = cli.invoke(args=["db", "current"])
    new.dispose()
    assert result.exit_code == 1
    assert result.output.strip() == "none"


def test_every_command_is_a_click_command(cli):
    assert {name for name, command in cli.app.cli.commands.items() if isinstance(command, click.Command)} >= {"demo", "db", "queues"}


def test_demo_json_says_what_programs_need_and_only_its_owner_reads_it(settings):
    settings.data_dir.mkdir()
    greeting = Greeting(settings)
    person = {
        "email": "a@example.com",
        "password": "p",
        "totp_secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        "role": "owner",
        "note": "not for the file",
    }
    greeting.started({"staff": [person], "partner": {"key": "k", "secret": "s"}}, "http://127.0.0.1:1", ["c1", "c2"])
    facts = json.loads((settings.data_dir / "demo.json").read_text())
    assert facts["staff"] == [{name: person[name] for name in ("email", "password", "totp_secret", "role")}]
    assert facts["wechat"] == {"emulator_url": "http://127.0.0.1:1", "codes": ["c1", "c2"]}
    assert facts["admin_url"] == f"{facts['base_url']}/admin/"
    assert (settings.data_dir / "demo.json").stat().st_mode & 0o077 == 0
    greeting.forget()
    assert not (settings.data_dir / "demo.json").exists()


@pytest.mark.committing
def test_the_first_account_is_opened_from_the_command_line_and_refusals_say_why(cli, core):
    asked = ["staff", "create", "--email", "boss@example.com", "--name", "Wang Wei", "--role", "admin", "--password"]
    weak = cli.invoke(args=[*asked, "12345"])
    assert weak.exit_code == 1
    assert "weak_password" in weak.output or "password" in weak.output
    assert cli.invoke(args=[*asked, "correct horse battery 7"]).exit_code == 0
    again = cli.invoke(args=[*asked, "correct horse battery 7"])
    assert again.exit_code == 1
    assert "Traceback" not in again.output


@pytest.mark.committing
def test_the_books_are_proven_from_the_command_line(cli, core):
    assert cli.invoke(args=["points", "prove"]).exit_code == 0
