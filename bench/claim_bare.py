"""The least a claim can be: one conditional UPDATE and one INSERT in one statement, behind the same kind of server."""

from __future__ import annotations

import os
import threading

import psycopg
from flask import Flask, Response

STATEMENT = """
WITH taken AS (UPDATE bare_templates SET left_ = left_ - 1 WHERE id = 1 AND left_ > 0 RETURNING id)
INSERT INTO bare_claims (template_id, member_id) SELECT id, %s FROM taken RETURNING member_id
"""
_local = threading.local()
app = Flask(__name__)


@app.post("/claims/<int:member>")
def claim(member: int) -> Response:
    """Claim for one member."""
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(os.environ["HUIBAN_BENCH_DSN"], autocommit=True, prepare_threshold=0)
    given = _local.connection.execute(STATEMENT, (member,)).fetchone()
    return Response(b"{}", status=201 if given else 409, content_type="application/json")
