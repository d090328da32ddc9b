"""Builds the core: what the web, the workers, the command line and the tests all stand on.

Edges get their database, clock, gateways and settings from one ``Core``; nothing is built at import.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import server
from config.settings import parse_key, parse_key_ring
from server.files.storage import LocalStorage, Storage
from server.kernel.clock import Clock, SystemClock
from server.kernel.crypto import Vault
from server.kernel.db import Database
from server.kernel.engines import LOCK_WAIT_SECONDS, make_engine
from server.mail.choice import mail_provider
from server.notifications.rules import Lines
from server.sms.choice import sms_providers

if TYPE_CHECKING:
    from config.settings import Settings
    from server.logistics.gateway import TrackingGateway
    from server.mail.gateway import MailProvider
    from server.sms.gateway import SmsProvider
    from server.wechat.gateway import WeChatGateway
    from server.wechat.gateway.official_account import OfficialAccountGateway


@dataclass(frozen=True)
class Core:
    """The parts every process shares."""

    settings: Settings
    db: Database
    clock: Clock
    files: Storage
    wechat: WeChatGateway
    tracking: TrackingGateway
    official_account: OfficialAccountGateway | None
    sms: tuple[SmsProvider, ...]
    mail: MailProvider | None

    @property
    def lines(self) -> Lines:
        """Return over which channels anything can be sent at all."""
        return Lines(
            self.official_account.appid if self.official_account is not None else None,
            tuple(provider.name for provider in self.sms),
            self.mail.name if self.mail is not None else None,
        )

    def close(self) -> None:
        """Give the connections back."""
        self.db.close()


def load_models() -> None:
    """Import every module that declares tables, so that foreign keys named by string find what they point to."""
    for module in pkgutil.walk_packages(server.__path__, "server."):
        if module.name.rpartition(".")[2] == "models" or module.name.startswith("server.kernel."):
            importlib.import_module(module.name)


def build_vault(settings: Settings) -> Vault:
    """Return the vault for the configured keys.

    Raises:
        ValueError: for keys that are malformed.
    """
    return Vault(parse_key_ring(settings.data_key), parse_key(settings.index_key), index_version=settings.index_key_version)


def build_wechat(settings: Settings, database: Database, clock: Clock) -> WeChatGateway:
    """Return the gateway to WeChat (or to its emulator, by the base address), watched. It calls nobody until it is used."""
    from server.operations.wechat_watch import WeChatWatch  # noqa: PLC0415 - as below
    from server.wechat.wechatpy_gateway import gateway_from  # noqa: PLC0415 - wechatpy is slow to import

    return gateway_from(settings, WeChatWatch(database, settings.wechat_appid, clock))


def build_tracking(settings: Settings) -> TrackingGateway:
    """Return the gateway to the carriers' aggregator, or the local stand-in without a key. It calls nobody until it is used."""
    from server.logistics.choice import tracking_gateway  # noqa: PLC0415 - as above

    return tracking_gateway(settings)


def build_official_account(settings: Settings) -> OfficialAccountGateway | None:
    """Return the gateway to the Official Account, or None when the brand has none. It calls nobody until it is used."""
    from server.wechat.calls.official_account import official_account_from  # noqa: PLC0415 - as above

    return official_account_from(settings)


def build_core(
    settings: Settings,
    *,
    clock: Clock | None = None,
    wechat: WeChatGateway | None = None,
    tracking: TrackingGateway | None = None,
    official_account: OfficialAccountGateway | None = None,
    sms: tuple[SmsProvider, ...] | None = None,
    mail: MailProvider | None = None,
    lock_wait_seconds: int = LOCK_WAIT_SECONDS,
) -> Core:
    """Build the core for one process.

    Arguments:
        settings: checked settings.
        clock: stands in for the machine's clock in tests and simulations.
        wechat: stands in for WeChat in tests.
        tracking: stands in for the carriers' aggregator in tests.
        official_account: stands in for the Official Account in tests.
        sms: stand in for the providers of text messages in tests.
        mail: stands in for the mail server in tests.
        lock_wait_seconds: how long a statement waits for a locked row; the web waits less, since a person waits for it.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    load_models()
    engine = make_engine(settings.resolved_database_url, pool_size=settings.pool_size, lock_wait_seconds=lock_wait_seconds)
    database = Database(engine, build_vault(settings), settings.zone)
    clock = clock or SystemClock()
    return Core(
        settings=settings,
        db=database,
        clock=clock,
        files=LocalStorage(settings.files_dir),
        wechat=wechat or build_wechat(settings, database, clock),
        tracking=tracking or build_tracking(settings),
        official_account=official_account or build_official_account(settings),
        sms=sms_providers(settings) if sms is None else sms,
        mail=mail or mail_provider(settings),
    )
