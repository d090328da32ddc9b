"""Structured logs with redaction: one JSON object a line, with the request's id, and without personal data or secrets."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_SECRET_NAMES = re.compile(
    r"(?i)(secret|password|passwd|token|authorization|cookie|signature|session_key|phone|mobile|openid|unionid|address|receiver|real_?name|e?mail|aes_?key)"
)
# Mainland mobile numbers, with or without the country's code; never part of a longer run of digits.
_PHONE = re.compile(r"(?<!\d)(?:\+?86[- ]?)?1[3-9]\d{9}(?!\d)")
_IN_ADDRESS = re.compile(r"(?i)\b((?:app)?secret|access_token|refresh_token|js_code|signature|sign)=[^&\s\"']+")
_BEARER = re.compile(r"(?i)\bbearer\s+[\w\-.~+/=]+")
_OPENID = re.compile(r"\bo[A-Za-z0-9_-]{27}\b")
# What a database quotes of the rows when it refuses them: PostgreSQL below the message, MariaDB within it.
_ROW = re.compile(r"(?s)\bDETAIL:\s.*?(?=\n(?:HINT|CONTEXT|STATEMENT|\[SQL)|\Z)|(?<=Duplicate entry ').*?(?=' for key)")
REDACTED = "[redacted]"


def redact_text(text: str) -> str:
    """Return a text without phones, openids, tokens, secrets in addresses and what a database quotes of its rows."""
    text = _ROW.sub(REDACTED, text)
    text = _IN_ADDRESS.sub(lambda found: f"{found.group(1)}={REDACTED}", text)
    text = _BEARER.sub(f"Bearer {REDACTED}", text)
    text = _OPENID.sub(REDACTED, text)
    return _PHONE.sub(REDACTED, text)


def redact(value: Any, name: str = "") -> Any:
    """Return a value fit for a log: what is named like a secret is dropped, texts are searched, containers are walked."""
    if name and _SECRET_NAMES.search(name) and value is not None:
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {key: redact(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(inner) for inner in value]
    return value


def _redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: redact(value, "" if key in {"event", "exception"} else key) for key, value in event.items()}


def configure_logging(level: str = "INFO", style: str = "json") -> None:
    """Send structlog and the standard library's loggers through the same processors to standard error.

    Arguments:
        level: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
        style: ``json`` for machines, ``text`` for a terminal.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_event,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False) if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # Addresses with secrets in their query are logged by these at DEBUG.
    for name in ("urllib3", "requests", "wechatpy"):
        logging.getLogger(name).setLevel(logging.WARNING)


def bind_request(request_id: str, method: str, path: str) -> None:
    """Let every line that is logged while this request is served carry its id."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id, method=method, path=path)
