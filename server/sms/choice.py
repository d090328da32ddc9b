"""Chooses the providers that the settings ask for, in the order in which they are tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.sms import aliyun, standin, tencent

if TYPE_CHECKING:
    from config.settings import Settings
    from server.sms.gateway import SmsProvider


def sms_providers(settings: Settings) -> tuple[SmsProvider, ...]:
    """Return the configured providers; outside production the stand-in when there is none, and in production none at all."""
    found: list[SmsProvider] = []
    for name in settings.sms_provider_names:
        if name == aliyun.NAME:
            found.append(
                aliyun.AliyunSms(
                    key_id=settings.aliyun_sms_key_id,
                    key_secret=settings.aliyun_sms_key_secret,
                    sign_name=settings.sms_sign,
                    base_url=settings.aliyun_sms_api_base,
                )
            )
        elif name == tencent.NAME:
            found.append(
                tencent.TencentSms(
                    secret_id=settings.tencent_sms_secret_id,
                    secret_key=settings.tencent_sms_secret_key,
                    sdk_app_id=settings.tencent_sms_app_id,
                    sign_name=settings.sms_sign,
                    region=settings.tencent_sms_region,
                    base_url=settings.tencent_sms_api_base,
                )
            )
    if not found and not settings.production:
        found.append(standin.LocalSms(settings.outbound_dir / "sms.jsonl"))
    return tuple(found)
