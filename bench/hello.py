"""The limit that home is held against: a Flask application that answers a constant."""

from __future__ import annotations

from flask import Flask, Response, jsonify

app = Flask(__name__)


@app.get("/")
def hello() -> Response:
    """Answer a small JSON object."""
    return jsonify(hello="world")
