"""Shows, or compares with ``earn.sql``, the statements that one accrual through the partner API runs."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from server.kernel.actors import SystemActor
from server.members import service as members
from server.partners import service as partners
from wsgi import create_app

if TYPE_CHECKING:
    from server.bootstrap import Core

SCRIPT = Path(__file__).parent / "earn.sql"
PATH = "/partner/v1/points/accruals"


def signed_headers(key: str, secret: str, body: bytes, stamp: int) -> dict[str, str]:
    """Return the headers of a signed call."""
    nonce = secrets.token_hex(16)
    text = "\n".join(["POST", PATH, str(stamp), nonce, hashlib.sha256(body).hexdigest()])
    return {
        "X-Huiban-Key": key,
        "X-Huiban-Timestamp": str(stamp),
        "X-Huiban-Nonce": nonce,
        "X-Huiban-Signature": hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest(),
        "Idempotency-Key": secrets.token_hex(12),
    }


def skeleton(statement: str) -> tuple[str, str, tuple[str, ...]]:
    """Return verb, table and columns of a statement: what must be alike in the product's and in the script's."""
    text = re.sub(r"\s+", " ", statement).strip()
    verb = text.split()[0].lower()
    if verb == "insert":
        found = re.match(r"INSERT INTO (\w+) \(([^)]*)\)", text)
        assert found, text
        return verb, found.group(1), tuple(name.strip() for name in found.group(2).split(","))
    if verb == "update":
        found = re.match(r"UPDATE (\w+) SET (.*) WHERE", text)
        assert found, text
        return verb, found.group(1), tuple(re.findall(r"(\w+)=", found.group(2)))
    found = re.match(r"SELECT (.*?) FROM (.*?) WHERE", text)
    assert found, text
    lock = " for update" if "FOR UPDATE" in text else ""
    columns = tuple(re.sub(r" AS \w+$", "", name.strip()) for name in found.group(1).split(","))
    return verb + lock, re.sub(r" ON .*", "", found.group(2)), columns


def of_one_accrual(core: Core) -> list[str]:
    """Return the SQL that the second accrual of a member runs (the first opens the account), in order."""
    now = core.clock.now()
    with core.db.transaction() as session:
        login = members.login_with_wechat(
            session, appid="wxdemo0000000000", openid="bench-statements", unionid=None, client=None, address=None, now=now
        )
        key = partners.create(session, "bench", ["points:write"], actor=SystemActor("bench"), now=now)
    client = create_app(core=core).test_client()
    seen: list[str] = []

    def listen(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    for number in range(2):
        if number:
            event.listen(core.db.engine, "before_cursor_execute", listen)
        body = json.dumps({"member_id": str(login.member_id), "points": 7, "source": f"s{number}", "reason": "bench"}).encode()
        headers = signed_headers(key.key_id, key.secret, body, int(now.timestamp()))
        answer = client.post(PATH, data=body, headers=headers, content_type="application/json")
        assert answer.status_code == 201, answer.text
    event.remove(core.db.engine, "before_cursor_execute", listen)
    return seen


def of_the_script() -> list[str]:
    """Return the statements of ``earn.sql``, without pgbench's own commands and the transactions' bounds."""
    lines = [line for line in SCRIPT.read_text().splitlines() if not line.startswith(("\\", "--"))]
    statements = [statement.strip() for statement in "\n".join(lines).replace("\\gset", ";").split(";")]
    return [statement for statement in statements if statement and statement.upper() not in {"BEGIN", "COMMIT", "ROLLBACK"}]


def stamp() -> int:
    """Return the present second, as a signature wants it."""
    return int(time.time())
