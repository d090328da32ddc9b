"""The settings: the sole reader of the environment, typed and frozen.

Every variable has the prefix ``HUIBAN_``. In production anything missing or unsafe stops the start and is named.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import stat
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

REAL_WECHAT_API_BASE = "https://api.weixin.qq.com/"
_MIN_SECRET_CHARS = 32

# Known to everyone who can read this file, hence refused in production.
DEMO_SECRET_KEY = "demo-secret-key-that-production-refuses"  # noqa: S105 - the demo's, and refused elsewhere
DEMO_DATA_KEY = "demo:" + base64.b64encode(hashlib.sha256(b"huiban demo data key").digest()).decode()
DEMO_INDEX_KEY = base64.b64encode(hashlib.sha256(b"huiban demo index key").digest()).decode()


_KEY_BYTES = 32


def parse_key_ring(ring: str) -> dict[str, bytes]:
    """Read ``id:base64key,id:base64key`` into key id → bytes, in order.

    Raises:
        ValueError: for a part that is not an id and a base64 key of 32 bytes, or an id that comes twice.
    """
    keys: dict[str, bytes] = {}
    for part in ring.split(","):
        key_id, colon, encoded = part.strip().partition(":")
        if not colon or not key_id.isalnum() or key_id in keys:
            raise ValueError("expected id:base64key,id:base64key with ids of letters and digits")
        keys[key_id] = parse_key(encoded)
    return keys


def parse_key(encoded: str) -> bytes:
    """Read one base64 key (plain or URL-safe).

    Raises:
        ValueError: when it is not base64 of 32 bytes.
    """
    text = encoded.replace("+", "-").replace("/", "_").rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("expected base64") from error
    if len(key) != _KEY_BYTES:
        raise ValueError(f"expected base64 of {_KEY_BYTES} bytes")
    return key


class UnsafeSettingsError(Exception):
    """The product must not start with these settings.

    Arguments:
        problems: one sentence each, the variable's name first.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """What a deployment decides. Read once by the composition root and passed in from there."""

    model_config = SettingsConfigDict(env_prefix="HUIBAN_", frozen=True, extra="ignore")

    env: Literal["development", "production"] = "development"
    database_url: str = ""
    redis_url: str = ""
    secret_key: str = DEMO_SECRET_KEY
    data_key: str = DEMO_DATA_KEY
    index_key: str = DEMO_INDEX_KEY
    index_key_version: str = "1"

    wechat_appid: str = "wxdemo0000000000"
    wechat_secret: str = "demo-wechat-secret"  # noqa: S105 - the emulator's, refused in production
    wechat_api_base: str = REAL_WECHAT_API_BASE
    wechat_push_token: str = "demo-push-token"  # noqa: S105 - as above
    wechat_push_aes_key: str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
    grant_source: Literal["event", "page"] = "event"

    kuaidi100_key: str = ""
    kuaidi100_salt: str = "demo-kuaidi100-salt"
    kuaidi100_api_base: str = "https://poll.kuaidi100.com/"

    official_account_appid: str = ""
    official_account_secret: str = ""
    official_account_push_token: str = ""
    official_account_push_aes_key: str = ""

    brand_name: str = "会伴"
    sms_providers: str = ""
    sms_sign: str = ""
    sms_callback_secret: str = "demo-sms-callback-secret"  # noqa: S105 - the demonstration's, refused in production with a provider
    aliyun_sms_key_id: str = ""
    aliyun_sms_key_secret: str = ""
    aliyun_sms_api_base: str = "https://dysmsapi.aliyuncs.com/"
    tencent_sms_secret_id: str = ""
    tencent_sms_secret_key: str = ""
    tencent_sms_app_id: str = ""
    tencent_sms_region: str = "ap-guangzhou"
    tencent_sms_api_base: str = "https://sms.tencentcloudapi.com/"

    smtp_host: str = ""
    smtp_port: int = Field(default=465, ge=1, le=65535)
    smtp_security: Literal["tls", "starttls", "none"] = "tls"
    smtp_user: str = ""
    smtp_password: str = ""
    mail_from: str = ""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    public_base_url: str = ""
    data_dir: Path = Path("var")
    timezone: str = "Asia/Shanghai"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"
    pool_size: int = Field(default=8, ge=1, le=100)
    rate_limit: str = "1200 per minute"
    login_rate_limit: str = "300 per minute"
    push_days: int = Field(default=30, ge=1, le=3650)
    message_days: int = Field(default=730, ge=30, le=3650)
    trusted_proxies: int = Field(default=0, ge=0, le=5)

    @property
    def production(self) -> bool:
        """Tell whether this is a production start."""
        return self.env == "production"

    @property
    def zone(self) -> ZoneInfo:
        """Return the shop's time zone."""
        return ZoneInfo(self.timezone)

    @property
    def base_url(self) -> str:
        """Return the address members and carriers reach the product at, without a closing slash."""
        return (self.public_base_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def resolved_database_url(self) -> str:
        """Return the database to use: the one given, or the embedded SQLite file."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'huiban.db'}"

    @property
    def files_dir(self) -> Path:
        """Return where uploads and exports lie on this machine."""
        return self.data_dir / "files"

    @property
    def outbound_dir(self) -> Path:
        """Return where the stand-ins for text messages and e-mail keep what they took in."""
        return self.data_dir / "outbound"

    @property
    def sms_provider_names(self) -> tuple[str, ...]:
        """Return the providers of text messages in the order in which they are tried."""
        return tuple(name.strip() for name in self.sms_providers.split(",") if name.strip())


def load_settings(**overrides: object) -> Settings:
    """Read the environment and check it.

    Arguments:
        overrides: values that win over the environment (tests, the supervisor).

    Returns:
        The checked settings.

    Raises:
        UnsafeSettingsError: naming every variable that is malformed, missing or unsafe.
    """
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]  # values are checked by pydantic itself
    except ValidationError as error:
        problems = [f"HUIBAN_{str(detail['loc'][0]).upper()}: {detail['msg']}" for detail in error.errors()]
        raise UnsafeSettingsError(problems) from error
    problems = [*_malformed(settings), *(_unsafe_in_production(settings) if settings.production else [])]
    if problems:
        raise UnsafeSettingsError(problems)
    return settings


def _malformed(settings: Settings) -> list[str]:
    problems = []
    try:
        data_keys = parse_key_ring(settings.data_key)
    except ValueError as error:
        data_keys = {}
        problems.append(f"HUIBAN_DATA_KEY: {error}")
    try:
        if parse_key(settings.index_key) in data_keys.values():
            problems.append("HUIBAN_INDEX_KEY: must not be one of the data keys")
    except ValueError as error:
        problems.append(f"HUIBAN_INDEX_KEY: {error}")
    try:
        ZoneInfo(settings.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        problems.append(f"HUIBAN_TIMEZONE: no such time zone: {settings.timezone}")
    if not settings.wechat_api_base.startswith(("http://", "https://")):
        problems.append("HUIBAN_WECHAT_API_BASE: must be an http(s) address")
    return [*problems, *_half_set(settings)]


# What each provider needs beside its name; half of it would be found out only by the first message.
_SMS_NEEDS: dict[str, tuple[str, ...]] = {
    "aliyun": ("sms_sign", "aliyun_sms_key_id", "aliyun_sms_key_secret"),
    "tencent": ("sms_sign", "tencent_sms_secret_id", "tencent_sms_secret_key", "tencent_sms_app_id"),
}
_OFFICIAL_ACCOUNT_NEEDS = ("official_account_secret", "official_account_push_token", "official_account_push_aes_key")


def _half_set(settings: Settings) -> list[str]:
    problems = []
    needed: list[tuple[str, str]] = []
    for name in settings.sms_provider_names:
        if name not in _SMS_NEEDS:
            problems.append(f"HUIBAN_SMS_PROVIDERS: no such provider: {name} (aliyun, tencent)")
        needed += [(variable, f"the text messages of {name}") for variable in _SMS_NEEDS.get(name, ())]
    if settings.smtp_host:
        needed.append(("mail_from", "HUIBAN_SMTP_HOST"))
    if settings.official_account_appid:
        needed += [(variable, "HUIBAN_OFFICIAL_ACCOUNT_APPID") for variable in _OFFICIAL_ACCOUNT_NEEDS]
    missing = {variable: why for variable, why in needed if not getattr(settings, variable)}
    problems += [f"HUIBAN_{variable.upper()}: must be set for {why}" for variable, why in missing.items()]
    return problems


def _unsafe_in_production(settings: Settings) -> list[str]:
    problems = []
    for name in ("secret_key", "data_key", "index_key", "wechat_appid", "wechat_secret", "wechat_push_token", "wechat_push_aes_key"):
        value = getattr(settings, name)
        if not value or value == Settings.model_fields[name].default:
            problems.append(f"HUIBAN_{name.upper()}: must be set to a value of your own in production")
    if len(settings.secret_key) < _MIN_SECRET_CHARS:
        problems.append(f"HUIBAN_SECRET_KEY: must have at least {_MIN_SECRET_CHARS} characters")
    if not settings.database_url:
        problems.append("HUIBAN_DATABASE_URL: must be set in production")
    elif settings.database_url.startswith("sqlite"):
        problems.append("HUIBAN_DATABASE_URL: SQLite is for development only")
    if not settings.redis_url:
        problems.append("HUIBAN_REDIS_URL: must be set in production")
    if not settings.wechat_api_base.startswith("https://"):
        problems.append("HUIBAN_WECHAT_API_BASE: must be https in production")
    if not settings.kuaidi100_key or settings.kuaidi100_salt == Settings.model_fields["kuaidi100_salt"].default:
        problems.append("HUIBAN_KUAIDI100_SALT: must be set, with HUIBAN_KUAIDI100_KEY, in production")
    problems += _unsafe_senders(settings)
    if settings.data_dir.exists() and stat.S_IMODE(settings.data_dir.stat().st_mode) & stat.S_IWOTH:
        problems.append(f"HUIBAN_DATA_DIR: {settings.data_dir} can be written by everybody")
    return problems


def _unsafe_senders(settings: Settings) -> list[str]:
    problems = []
    if settings.sms_provider_names and settings.sms_callback_secret == Settings.model_fields["sms_callback_secret"].default:
        problems.append("HUIBAN_SMS_CALLBACK_SECRET: must be set to a value of your own in production")
    if settings.smtp_host and settings.smtp_security == "none":
        problems.append("HUIBAN_SMTP_SECURITY: must be tls or starttls in production")
    problems += [
        f"HUIBAN_{name.upper()}: must be https in production"
        for name in ("aliyun_sms_api_base", "tencent_sms_api_base")
        if not getattr(settings, name).startswith("https://")
    ]
    return problems
