"""The OpenAPI 3.1 document: what APIFlask gathers from the blueprints, completed with guards, problems and headers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from miniprogram_api.auth import guard_of
from miniprogram_api.schemas import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiflask import APIFlask

DESCRIPTION = """会员小程序、合作方（门店收银、商城、ERP）与回调的接口。

* 金额为整数分 (`*_fen`)，积分为整数，时间为带时区的 RFC 3339。
* 错误为 `application/problem+json`，`code` 稳定不变。
* 会改变积分、券、订单、工单的 POST 需要 `Idempotency-Key`；重放返回首次的应答。
"""
_PROBLEMS = {
    "400": "Malformed",
    "401": "Not authenticated",
    "403": "Not allowed",
    "404": "Not found",
    "409": "The present state refuses",
    "413": "Too large",
    "415": "Unsupported media type",
    "422": "The request cannot be done as it stands",
    "429": "Too many requests",
    "503": "Not available now",
}
_PARTNER_HEADERS = ("X-Huiban-Key", "X-Huiban-Timestamp", "X-Huiban-Nonce", "X-Huiban-Signature")


def init_app(app: APIFlask) -> None:
    """Set the document's version and texts, and complete it whenever it is built."""
    app.config.update(
        OPENAPI_VERSION="3.1.0",
        DESCRIPTION=DESCRIPTION,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_AUTH_ERROR_RESPONSE=False,
        AUTO_404_RESPONSE=False,
    )
    app.security_schemes = {
        "member": {"type": "http", "scheme": "bearer", "description": "access_token from POST /api/v1/auth/wechat"},
        "partner": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Huiban-Signature",
            "description": "HMAC-SHA256, with the headers X-Huiban-Key, -Timestamp and -Nonce",
        },
    }
    guards = _guards_by_path(app)

    @app.spec_processor
    def complete(spec: dict[Any, Any] | str) -> dict[Any, Any] | str:
        if isinstance(spec, str):
            return spec
        return _complete(spec, guards())


def _guards_by_path(app: APIFlask) -> Callable[[], dict[tuple[str, str], str]]:
    """Return a function giving ``{(path, method): guard}``; called late, when every blueprint is registered."""

    def build() -> dict[tuple[str, str], str]:
        found = {}
        for rule in app.url_map.iter_rules():
            path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
            guard = guard_of(app.view_functions[rule.endpoint])
            for method in rule.methods or ():
                if guard:
                    found[path, method.lower()] = guard
        return found

    return build


def _complete(spec: dict[str, Any], guards: dict[tuple[str, str], str]) -> dict[str, Any]:
    schemas = spec.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    body = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, operations in spec.get("paths", {}).items():
        for method, operation in operations.items():
            guard = guards.get((path, method))
            if guard is None or not isinstance(operation, dict):
                continue
            responses = operation.setdefault("responses", {})
            for status, meaning in _PROBLEMS.items():
                responses[status] = {"description": meaning, "content": body}
            if guard == "member":
                operation["security"] = [{"member": []}]
            elif guard.startswith("partner"):
                operation["security"] = [{"partner": []}]
                _add_headers(operation, _PARTNER_HEADERS[:3], required=True)
            if method in {"post", "put", "patch", "delete"} and guard != "signature":
                _add_headers(operation, ("Idempotency-Key",), required=False)
    return spec


def _add_headers(operation: dict[str, Any], names: tuple[str, ...], *, required: bool) -> None:
    parameters = operation.setdefault("parameters", [])
    for name in names:
        schema = {"type": "string", "minLength": 1, "maxLength": 128}
        parameters.append({"name": name, "in": "header", "required": required, "schema": schema})
