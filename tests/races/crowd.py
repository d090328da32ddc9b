"""Many members who are logged in, inserted in bulk: the race is about what they do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.kernel.db import Base
from server.kernel.ids import new_token, token_hash, uuid7

if TYPE_CHECKING:
    from server.bootstrap import Core


@dataclass(frozen=True, slots=True)
class Caller:
    """A member and the token that shows who calls."""

    member_id: UUID
    token: str


def a_crowd(core: Core, size: int) -> list[Caller]:
    """Insert members with a log-in each; by the machine's clock, which the web goes by."""
    now = datetime.now(UTC)
    crowd = [Caller(uuid7(), new_token()) for _ in range(size)]
    members, sessions = Base.metadata.tables["members"], Base.metadata.tables["member_sessions"]
    for start in range(0, size, 1000):
        part = crowd[start : start + 1000]
        person = {"interests": [], "gender": "unknown", "status": "active", "joined_via": "test", "joined_at": now, "updated_at": now}
        login = {
            "access_expires_at": now + timedelta(hours=2),
            "refresh_expires_at": now + timedelta(hours=2),
            "created_at": now,
            "last_seen_at": now,
        }
        with core.db.transaction() as session:
            session.execute(sa.insert(members), [{"id": caller.member_id} | person for caller in part])
            session.execute(
                sa.insert(sessions),
                [
                    {
                        "id": uuid7(),
                        "member_id": caller.member_id,
                        "access_hash": token_hash(caller.token),
                        "refresh_hash": token_hash(new_token()),
                    }
                    | login
                    for caller in part
                ],
            )
    return crowd
