"""The templates of subscribe messages that the account has."""

from __future__ import annotations

import re
from typing import Any

from server.wechat.calls.client import Calls
from server.wechat.errors import WeChatUnavailableError
from server.wechat.gateway.templates import AccountTemplate, Category, Keyword

# A line of a template's content: ``订单编号:{{character_string1.DATA}}``.
_LINE = re.compile(r"^(?P<label>.*?)\s*[:：]?\s*\{\{(?P<field>[a-z_]+\d*)\.DATA\}\}\s*$")
_ONE_TIME = 2


class TemplateCalls(Calls):
    """``TemplateGateway`` over the network."""

    def account_templates(self) -> list[AccountTemplate]:
        """Return the account's templates. See the Protocol."""
        return [_template(row) for row in self._rows("wxaapi/newtmpl/gettemplate", {})]

    def categories(self) -> list[Category]:
        """Return the categories. See the Protocol."""
        return [Category(_number(row, "id"), str(row.get("name") or "")) for row in self._rows("wxaapi/newtmpl/getcategory", {})]

    def keywords(self, tid: str) -> list[Keyword]:
        """Return the fields of a public template. See the Protocol."""
        return [
            Keyword(_number(row, "kid"), str(row.get("name") or ""), str(row.get("example") or ""), str(row.get("rule") or ""))
            for row in self._rows("wxaapi/newtmpl/getpubtemplatekeywords", {"tid": tid})
        ]

    def _rows(self, endpoint: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        rows = self._get(endpoint, params).get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise WeChatUnavailableError(_UNREADABLE)
        return rows


_UNREADABLE = "unreadable"


def _template(row: dict[str, Any]) -> AccountTemplate:
    template_id = str(row.get("priTmplId") or "")
    if not template_id:
        raise WeChatUnavailableError(_UNREADABLE)
    lines = (found for line in str(row.get("content") or "").splitlines() if (found := _LINE.match(line.strip())))
    fields = {found["field"]: found["label"] for found in lines}
    return AccountTemplate(template_id, str(row.get("title") or ""), fields, one_time=_number(row, "type") == _ONE_TIME)


def _number(row: dict[str, Any], name: str) -> int:
    try:
        return int(row.get(name) or 0)
    except (TypeError, ValueError):
        raise WeChatUnavailableError(_UNREADABLE) from None
