"""The OpenAPI 3.1 document: what APIFlask gathers from the blueprints, completed with guards, problems and headers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from miniprogram_api.auth import guard_of
from miniprogram_api.schemas import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from apiflask import APIFlask
    from pydantic import BaseModel

P = ParamSpec("P")
R = TypeVar("R")

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
_FACTS = "_huiban_documented"
_UNFIT_IN_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_KEY_MEANING = (
    "The caller's own name of this command: the same key again brings the first answer, with `Idempotency-Replayed: true`. "
    "Commands that move points, coupons, orders or tickets answer 400 `idempotency_key_required` without one."
)
_PARTNER_HEADERS = ("X-Huiban-Key", "X-Huiban-Timestamp", "X-Huiban-Nonce", "X-Huiban-Signature")


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a view does that APIFlask's decorators cannot say."""

    also: Mapping[int, str] = field(default_factory=dict)
    takes: Mapping[str, type[BaseModel] | dict[str, Any]] = field(default_factory=dict)
    body_required: bool = True
    gives: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


def documented(
    *,
    also: Mapping[int, str] | None = None,
    takes: Mapping[str, type[BaseModel] | dict[str, Any]] | None = None,
    body_required: bool = True,
    gives: Mapping[str, dict[str, Any]] | None = None,
    query: Mapping[str, str] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Write into the document what a view does besides its one input and its one output.

    Arguments:
        also: further statuses with the body of the main one, and when they come.
        takes: bodies that the view reads itself, by content type.
        body_required: False where the body may be left out.
        gives: content types of the answer, where it is not JSON.
        query: query parameters that the view reads itself, and what they are.
    """
    facts = _Facts(also or {}, takes or {}, body_required, gives or {}, query or {})

    def mark(view: Callable[P, R]) -> Callable[P, R]:
        setattr(view, _FACTS, facts)
        return view

    return mark


def init_app(app: APIFlask) -> None:
    """Set the document's version and texts, and complete it whenever it is built."""
    app.config.update(
        OPENAPI_VERSION="3.1.0",
        DESCRIPTION=DESCRIPTION,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_AUTH_ERROR_RESPONSE=False,
        AUTO_404_RESPONSE=False,
        AUTO_OPERATION_ID=True,
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
    views = _views_by_path(app)

    @app.spec_processor
    def complete(spec: dict[Any, Any] | str) -> dict[Any, Any] | str:
        if isinstance(spec, str):
            return spec
        _complete(spec, views())
        renamed: dict[Any, Any] = _with_plain_names(spec)
        return renamed


def _views_by_path(app: APIFlask) -> Callable[[], dict[tuple[str, str], Any]]:
    """Return a function giving ``{(path, method): view}``; called late, when every blueprint is registered."""

    def build() -> dict[tuple[str, str], Any]:
        found = {}
        for rule in app.url_map.iter_rules():
            path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
            for method in rule.methods or ():
                found[path, method.lower()] = app.view_functions[rule.endpoint]
        return found

    return build


def _complete(spec: dict[str, Any], views: dict[tuple[str, str], Any]) -> None:
    schemas = spec.setdefault("components", {}).setdefault("schemas", {})
    body = {"application/problem+json": {"schema": _reference(schemas, Problem)}}
    for path, operations in spec.get("paths", {}).items():
        for method, operation in operations.items():
            view = views.get((path, method))
            guard = guard_of(view)
            if guard is None or not isinstance(operation, dict):
                continue
            _say_plainly(operation)
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
            _add_facts(schemas, operation, getattr(view, _FACTS, _Facts()))
            responses = operation.setdefault("responses", {})
            for status, meaning in _PROBLEMS.items():
                responses[status] = {"description": meaning, "content": body}
            if guard == "member":
                operation["security"] = [{"member": []}]
            elif guard.startswith("partner"):
                # OpenAPI 3.1 takes the names of what a caller must hold for any scheme, not for OAuth's scopes alone.
                operation["security"] = [{"partner": [guard.removeprefix("partner:")]}]
                _add_parameters(operation, "header", dict.fromkeys(_PARTNER_HEADERS[:3], ""), required=True)
            if method in {"post", "put", "patch", "delete"} and guard != "signature":
                _add_parameters(operation, "header", {"Idempotency-Key": _KEY_MEANING}, required=False)


def _say_plainly(operation: dict[str, Any]) -> None:
    """Turn the docstrings' marks for code into Markdown's."""
    for name in ("summary", "description"):
        if name in operation:
            operation[name] = operation[name].replace("``", "`")


def _add_facts(schemas: dict[str, Any], operation: dict[str, Any], facts: _Facts) -> None:
    responses = operation.setdefault("responses", {})
    main: dict[str, Any] = next((response for status, response in responses.items() if str(status).startswith("2")), {})
    if facts.gives:
        main["content"] = {content_type: {"schema": schema} for content_type, schema in facts.gives.items()}
    for status, meaning in facts.also.items():
        responses[str(status)] = {**main, "description": meaning}
    if facts.takes:
        body = operation.setdefault("requestBody", {"content": {}})
        body["required"] = facts.body_required
        for content_type, taken in facts.takes.items():
            body["content"][content_type] = {"schema": taken if isinstance(taken, dict) else _reference(schemas, taken)}
    _add_parameters(operation, "query", facts.query, required=True)


def _reference(schemas: dict[str, Any], model: type[BaseModel]) -> dict[str, str]:
    """Put a model among the components and return the reference to it."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _add_parameters(operation: dict[str, Any], place: str, meanings: Mapping[str, str], *, required: bool) -> None:
    parameters = operation.setdefault("parameters", [])
    for name, meaning in meanings.items():
        schema = {"type": "string", "minLength": 1, "maxLength": 128}
        described = {"description": meaning} if meaning else {}
        parameters.append({"name": name, "in": place, "required": required, "schema": schema, **described})


def _with_plain_names(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the document with component names that OpenAPI allows: a generic model's own name has brackets."""
    schemas = spec["components"]["schemas"]
    names = {name: _UNFIT_IN_NAME.sub("_", name.replace("]", "")) for name in schemas}
    references = {f"#/components/schemas/{old}": f"#/components/schemas/{new}" for old, new in names.items()}

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: references.get(inner, inner) if key == "$ref" and isinstance(inner, str) else renamed(inner)
                for key, inner in value.items()
            }
        return [renamed(inner) for inner in value] if isinstance(value, list) else value

    whole: dict[str, Any] = renamed(spec)
    whole["components"]["schemas"] = {names[name]: schema for name, schema in whole["components"]["schemas"].items()}
    return whole
