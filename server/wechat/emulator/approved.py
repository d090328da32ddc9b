"""The templates the emulated platform has approved, and what a field of each type may hold."""

from __future__ import annotations

import re
from typing import Any

FORBIDDEN = re.compile(r"[\x00-\x1f]")
_NUMBER = re.compile(r"\d{1,32}(\.\d+)?")
_AMOUNT = re.compile(r"[^\d\s]?\d{1,10}(\.\d+)?元?")
_ONE_TIME = r"\d{1,2}[:：]\d{2}([:：]\d{2})?"
_ONE_DATE = r"\d{4}([年/-]\d{1,2}[月/-]\d{1,2}日?|\.\d{1,2}\.\d{1,2})"
_MOMENT = rf"({_ONE_DATE}( ?{_ONE_TIME})?|{_ONE_TIME})"
_TIME = re.compile(rf"{_MOMENT}(~{_MOMENT})?")
_DATE = re.compile(rf"{_ONE_DATE}( ?{_ONE_TIME})?(~{_ONE_DATE}( ?{_ONE_TIME})?)?")
_CHINESE_NAME, _LATIN_NAME = 10, 20

# The type in a field's name → whether a value is allowed.
FIELD_RULES: dict[str, Any] = {
    "thing": lambda value: len(value) <= 20,  # noqa: PLR2004 - the platform's limit
    "number": _NUMBER.fullmatch,
    "letter": lambda value: len(value) <= 32 and value.isascii() and value.isalpha(),  # noqa: PLR2004
    "symbol": lambda value: len(value) <= 5,  # noqa: PLR2004
    "character_string": lambda value: len(value) <= 32 and value.isascii(),  # noqa: PLR2004
    "time": _TIME.fullmatch,
    "date": _DATE.fullmatch,
    "amount": _AMOUNT.fullmatch,
    "phone_number": re.compile(r"[0-9+\-() ]{1,17}").fullmatch,
    "car_number": lambda value: len(value) <= 8,  # noqa: PLR2004
    "name": lambda value: len(value) <= (_LATIN_NAME if value.isascii() else _CHINESE_NAME),
    "phrase": lambda value: len(value) <= 5 and not value.isascii(),  # noqa: PLR2004
}

# template id → its title and its fields with their labels, as they are set up on the platform.
TEMPLATES: dict[str, dict[str, Any]] = {
    "demo-tmpl-order-shipped": {
        "title": "订单发货通知",
        "fields": {"character_string1": "订单编号", "thing2": "物流公司", "character_string3": "快递单号", "time4": "发货时间"},
    },
    "demo-tmpl-points-accrued": {
        "title": "积分到账提醒",
        "fields": {"thing1": "变动原因", "number2": "变动积分", "number3": "可用积分", "time4": "变动时间"},
    },
    "demo-tmpl-points-expiring": {
        "title": "积分到期提醒",
        "fields": {"number1": "到期积分", "date2": "到期日", "number3": "可用积分", "thing4": "温馨提示"},
    },
    "demo-tmpl-ticket-answered": {
        "title": "客服回复通知",
        "fields": {"character_string1": "工单编号", "thing2": "回复内容", "time3": "回复时间"},
    },
    "demo-tmpl-content-refused": {
        "title": "内容审核结果通知",
        "fields": {"thing1": "审核内容", "thing2": "审核结果", "time3": "审核时间"},
    },
    "demo-tmpl-festival-greeting": {
        "title": "节日祝福通知",
        "fields": {"thing1": "节日", "thing2": "祝福语", "thing3": "礼遇", "date4": "有效期至"},
    },
    "demo-tmpl-coupon-recalled": {
        "title": "优惠券收回通知",
        "fields": {"thing1": "优惠券", "time2": "收回时间", "thing3": "温馨提示"},
    },
    "demo-tmpl-coupon-gift-ended": {
        "title": "转赠结果通知",
        "fields": {"thing1": "优惠券", "thing2": "转赠结果", "time3": "时间"},
    },
    "demo-tmpl-coupon-received": {
        "title": "优惠券到账通知",
        "fields": {"thing1": "优惠券", "thing2": "到账原因", "time3": "有效期至"},
    },
    "demo-tmpl-coupon-revoked": {
        "title": "优惠券失效通知",
        "fields": {"thing1": "优惠券", "time2": "失效时间", "thing3": "温馨提示"},
    },
    "demo-tmpl-coupon-expiring": {
        "title": "优惠券到期提醒",
        "fields": {"thing1": "优惠券", "time2": "到期时间", "thing3": "温馨提示"},
    },
    "demo-tmpl-membership-deletion": {
        "title": "会员注销提醒",
        "fields": {"time1": "申请时间", "time2": "可撤回至", "thing3": "温馨提示"},
    },
    "demo-tmpl-tier-upgraded": {
        "title": "等级升级通知",
        "fields": {"thing1": "当前等级", "thing2": "原等级", "time3": "变更时间"},
    },
    "demo-tmpl-tier-downgraded": {
        "title": "等级变更通知",
        "fields": {"thing1": "当前等级", "thing2": "原等级", "time3": "变更时间"},
    },
    "demo-tmpl-tier-at-risk": {
        "title": "等级即将到期提醒",
        "fields": {"thing1": "会员等级", "number2": "还差成长值", "date3": "到期日"},
    },
    "demo-tmpl-birthday-greeting": {
        "title": "生日祝福",
        "fields": {"name1": "会员昵称", "thing2": "生日礼遇", "date3": "有效期至", "thing4": "祝福"},
    },
    "demo-tmpl-reward-placed": {
        "title": "积分兑换成功通知",
        "fields": {"thing1": "兑换商品", "character_string2": "兑换单号", "number3": "消耗积分", "time4": "兑换时间"},
    },
    "demo-tmpl-reward-shipped": {
        "title": "兑换商品发货通知",
        "fields": {"character_string1": "兑换单号", "thing2": "物流公司", "character_string3": "快递单号", "time4": "发货时间"},
    },
    "demo-tmpl-reward-cancelled": {
        "title": "积分兑换取消通知",
        "fields": {"thing1": "兑换商品", "character_string2": "兑换单号", "number3": "退回积分", "time4": "取消时间"},
    },
}
