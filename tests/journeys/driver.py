"""The people of a journey, over HTTP only: a member, a till, a carrier and a member of staff in the console."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyotp
import requests

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 20


def free_port() -> int:
    """Return a port that nobody listens on, below the range that outgoing connections use."""
    for _ in range(200):
        port = secrets.randbelow(8000) + 20000
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise RuntimeError("no free port")


@dataclass
class Product:
    """The running product: everything that ``make run`` starts, in a data folder of its own."""

    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    demo: dict[str, Any] = field(default_factory=dict)
    seconds_to_start: float = 0.0

    def start(self, *, within_seconds: int = 170) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HUIBAN_")}
        environment |= {"HUIBAN_DATA_DIR": str(self.data_dir), "HUIBAN_PORT": str(free_port())} | self.environment
        started = time.monotonic()
        with (self.data_dir.parent / "supervisor.log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tasks.supervisor"],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        facts = self.data_dir / "demo.json"
        while time.monotonic() - started < within_seconds:
            if self.process.poll() is not None:
                raise RuntimeError(f"the product stopped: {self.log()[-4000:]}")
            if facts.exists():
                self.demo = json.loads(facts.read_text())
                try:
                    if requests.get(f"{self.demo['base_url']}/readyz", timeout=2).status_code == 200:
                        self.seconds_to_start = time.monotonic() - started
                        return
                except requests.ConnectionError:
                    pass
            time.sleep(0.2)
        raise RuntimeError(f"the product did not start: {self.log()[-4000:]}")

    def work_off(self, *, within_seconds: int = 300) -> None:
        """Wait until what the demonstration's own data set going is done: a member's news would wait behind all of it."""
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            figures = requests.get(f"{self.demo['base_url']}/metrics", timeout=TIMEOUT_SECONDS).text
            found = re.search(r"^huiban_outbox_oldest_pending_seconds (\S+)$", figures, re.MULTILINE)
            assert found, figures
            if float(found[1]) < 2:
                return
            time.sleep(0.5)
        raise RuntimeError(f"the demonstration's news was not done within {within_seconds} s: {self.log()[-4000:]}")

    def log(self) -> str:
        return (self.data_dir.parent / "supervisor.log").read_text()

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise

    def leftovers(self) -> list[int]:
        """Return the processes of this product that still run."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    environment = (entry / "environ").read_bytes()
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                except OSError:
                    continue
                if f"HUIBAN_DATA_DIR={self.data_dir}".encode() in environment.split(b"\0") and state != "Z":
                    found.append(int(entry.name))
        return found


class Member:
    """A customer with the mini-program open."""

    def __init__(self, demo: dict[str, Any], *, openid: str | None = None) -> None:
        self.base = demo["base_url"]
        self.emulator = demo["wechat"]["emulator_url"]
        self.openid = openid or "o" + secrets.token_hex(14)[:27]
        self.session = requests.Session()
        self.tokens: dict[str, Any] = {}

    def log_in(self) -> dict[str, Any]:
        code = requests.post(f"{self.emulator}/_emulator/codes", json={"openid": self.openid}, timeout=TIMEOUT_SECONDS).json()["code"]
        answer = requests.post(f"{self.base}/api/v1/auth/wechat", json={"code": code}, timeout=TIMEOUT_SECONDS)
        assert answer.status_code == 200, answer.text
        self.tokens = answer.json()
        self.session.headers["Authorization"] = f"Bearer {self.tokens['access_token']}"
        return self.tokens

    def bind_phone(self, phone: str) -> dict[str, Any]:
        code = requests.post(f"{self.emulator}/_emulator/phone-codes", json={"phone": phone}, timeout=TIMEOUT_SECONDS).json()["code"]
        return self.post("me/phone", {"code": code})

    def call(self, method: str, path: str, body: Any = None, *, key: str | None = None, **options: Any) -> requests.Response:
        headers = {"Idempotency-Key": key or secrets.token_hex(12)} if method != "GET" else {}
        return self.session.request(method, f"{self.base}/api/v1/{path}", json=body, headers=headers, timeout=TIMEOUT_SECONDS, **options)

    def get(self, path: str, **query: Any) -> Any:
        answer = self.call("GET", path, params=query)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        answer = self.call("POST", path, body, key=key)
        assert answer.ok, f"{path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def accept(self, template_id: str) -> None:
        """Tap «allow» in WeChat's dialogue for a subscribe message."""
        answer = requests.post(
            f"{self.emulator}/_emulator/popups",
            json={"openid": self.openid, "template_id": template_id, "accept": True},
            timeout=TIMEOUT_SECONDS,
        )
        assert answer.ok, answer.text


class Till:
    """A till that signs its calls."""

    def __init__(self, demo: dict[str, Any]) -> None:
        self.base = demo["base_url"]
        self.key, self.secret = demo["partner"]["key"], demo["partner"]["secret"]

    def call(self, method: str, path: str, body: Any = None, *, idempotency_key: str | None = None, **replaced: str) -> requests.Response:
        payload = b"" if body is None else json.dumps(body).encode()
        full = f"/partner/v1/{path}"
        stamp = replaced.get("timestamp", str(int(time.time())))
        nonce = replaced.get("nonce", secrets.token_hex(16))
        text = "\n".join([method, full, stamp, nonce, hashlib.sha256(payload).hexdigest()])
        signature = replaced.get("signature", hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest())
        headers = {
            "Content-Type": "application/json",
            "X-Huiban-Key": self.key,
            "X-Huiban-Timestamp": stamp,
            "X-Huiban-Nonce": nonce,
            "X-Huiban-Signature": signature,
            "Idempotency-Key": idempotency_key or secrets.token_hex(12),
        }
        return requests.request(method, f"{self.base}{full}", data=payload, headers=headers, timeout=TIMEOUT_SECONDS)

    def post(self, path: str, body: Any) -> Any:
        answer = self.call("POST", path, body)
        assert answer.ok, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()


class Carrier:
    """Kuaidi100, pushing what happened to a parcel."""

    def __init__(self, demo: dict[str, Any], *, salt: str = "demo-kuaidi100-salt") -> None:
        self.base, self.salt = demo["base_url"], salt

    def push(self, company: str, number: str, state: str, events: list[tuple[str, str]], *, sign: str | None = None) -> requests.Response:
        data = [{"time": at, "ftime": at, "context": text} for at, text in reversed(events)]
        status = "shutdown" if state == "3" else "polling"
        param = json.dumps(
            {
                "status": status,
                "message": "",
                "lastResult": {"state": state, "com": company, "nu": number, "ischeck": "1" if state == "3" else "0", "data": data},
            },
            ensure_ascii=False,
        )
        digest = sign or hashlib.md5((param + self.salt).encode()).hexdigest().upper()  # noqa: S324 - the carrier's own scheme
        return requests.post(
            f"{self.base}/callbacks/kuaidi100",
            data=urlencode({"sign": digest, "param": param}),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            timeout=TIMEOUT_SECONDS,
        )


class Staff:
    """A member of staff in a browser without scripts: follows links, fills in forms."""

    def __init__(self, demo: dict[str, Any], role: str) -> None:
        self.account = next(account for account in demo["staff"] if account["role"] == role)
        self.admin = demo["admin_url"].rstrip("/")
        self.base = demo["base_url"]
        self.session = requests.Session()

    def page(self, path: str) -> str:
        answer = self.session.get(self.url(path), timeout=TIMEOUT_SECONDS)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        return answer.text

    def url(self, path: str) -> str:
        return path if path.startswith("http") else self.base + path

    def forms(self, html: str) -> list[dict[str, Any]]:
        """Return the forms of a page: where they go and what they hold."""
        found = []
        for attributes, inner in re.findall(r"<form([^>]*)>(.*?)</form>", html, flags=re.DOTALL):
            fields = {}
            for tag in re.findall(r"<(?:input|textarea|select|button)[^>]*>", inner):
                name = re.search(r'\bname="([^"]*)"', tag)
                value = re.search(r'\bvalue="([^"]*)"', tag)
                unchecked = re.search(r'type="(checkbox|radio)"', tag) and "checked" not in tag
                if name and not unchecked and not tag.startswith("<button"):
                    fields[unescape(name.group(1))] = unescape(value.group(1)) if value else ""
            for name, options in re.findall(r'<select[^>]*\bname="([^"]*)"[^>]*>(.*?)</select>', inner, flags=re.DOTALL):
                chosen = re.search(r'<option[^>]*selected[^>]*value="([^"]*)"|<option[^>]*value="([^"]*)"[^>]*selected', options)
                first = re.search(r'<option[^>]*value="([^"]*)"', options)
                picked = (
                    next((group for group in chosen.groups() if group is not None), "") if chosen else (first.group(1) if first else "")
                )
                fields[name] = unescape(picked)
            action = re.search(r'\baction="([^"]*)"', attributes)
            found.append({"action": unescape(action.group(1)) if action else "", "fields": fields, "html": inner})
        return found

    def submit(self, path: str, fields: dict[str, str], *, holding: str) -> requests.Response:
        """Open a page, fill in the form that has a field called ``holding``, and send it."""
        answer = self.session.get(self.url(path), timeout=TIMEOUT_SECONDS)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
        form = next((form for form in self.forms(answer.text) if holding in form["fields"]), None)
        assert form is not None, f"{path} has no form with {holding}"
        target = requests.compat.urljoin(answer.url, form["action"] or answer.url)
        return self.session.post(target, data=form["fields"] | fields, headers={"Referer": answer.url}, timeout=TIMEOUT_SECONDS)

    def log_in(self) -> None:
        answer = self.submit("/admin/login", {"email": self.account["email"], "password": self.account["password"]}, holding="password")
        if "code" in {name for form in self.forms(answer.text) for name in form["fields"]}:
            form = next(form for form in self.forms(answer.text) if "code" in form["fields"])
            code = pyotp.TOTP(self.account["totp_secret"]).now()
            target = requests.compat.urljoin(answer.url, form["action"] or answer.url)
            answer = self.session.post(
                target, data=form["fields"] | {"code": code}, headers={"Referer": answer.url}, timeout=TIMEOUT_SECONDS
            )
        assert answer.status_code == 200, answer.text[:500]
        assert self.session.get(f"{self.admin}/", timeout=TIMEOUT_SECONDS).status_code == 200


def eventually(check: Any, *, within_seconds: float = 60, what: str = "it") -> Any:
    """Return what ``check`` gives as soon as it is true; the queue works in the background."""
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(0.25)
    raise AssertionError(f"{what} did not happen within {within_seconds} s")
