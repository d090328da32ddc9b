"""What the supervisor says: addresses and demo log-ins on the terminal, and the same for programs in ``demo.json``."""

from __future__ import annotations

import gettext
import json
import locale
from typing import TYPE_CHECKING, Any

import pyotp
from rich.cells import cell_len
from rich.console import Console

from config.locale import CHINESE, LOCALE_DIR, ensure_compiled
from server.kernel.text import N_

if TYPE_CHECKING:
    from config.settings import Settings

STARTING = N_("Huiban is starting …")
STOPPING = N_("Stopping …")
STOPPED = N_("Everything has stopped.")
READY = N_("Huiban is running. Ctrl-C stops it.")
API = N_("Mini-program API")
CONSOLE = N_("Staff console")
EMULATOR = N_("WeChat emulator")
DOCUMENT = N_("API document")
LOGS = N_("Logs")
ROLE = N_("Role")
EMAIL = N_("E-mail")
PASSWORD = N_("Password")
TOTP_SECRET = N_("Secret of the one-time code")
TOTP_NOW = N_("Code now")


class Greeting:
    """The supervisor's words, in the language of the terminal.

    Arguments:
        settings: of this start.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._console = Console(stderr=settings.production)
        self._file = settings.data_dir / "demo.json"
        ensure_compiled()
        language = (locale.getlocale()[0] or "") if not settings.production else ""
        self._text = gettext.translation("messages", LOCALE_DIR, [CHINESE], fallback=True).gettext if language.startswith("zh") else str

    def starting(self) -> None:
        """Say that it starts."""
        self.forget()
        self._console.print(self._text(STARTING))

    def stopping(self) -> None:
        """Say that it stops."""
        self._console.print(self._text(STOPPING))

    def stopped(self) -> None:
        """Say that nothing runs any more."""
        self._console.print(self._text(STOPPED))

    def forget(self) -> None:
        """Remove ``demo.json``: it stands for a product that runs."""
        self._file.unlink(missing_ok=True)

    def started(self, credentials: dict[str, Any], emulator_url: str, codes: list[str]) -> None:
        """Show addresses and log-ins, and write them down for programs."""
        settings = self._settings
        self._console.print(f"\n[bold]{self._text(READY)}[/bold]")
        addresses = {CONSOLE: f"{settings.base_url}/admin/", API: f"{settings.base_url}/api/v1/", DOCUMENT: f"{settings.base_url}/docs"}
        if emulator_url:
            addresses[EMULATOR] = emulator_url
        addresses[LOGS] = str(settings.data_dir / "logs")
        for title, address in addresses.items():
            self._console.print(f"  {self._text(title)}: {address}", soft_wrap=True)
        self._show(credentials.get("staff", []))
        if not settings.production:
            self.write_demo(credentials, emulator_url, codes)

    def _show(self, staff: list[dict[str, Any]]) -> None:
        # Plain columns and no table: a terminal of 80 columns would cut what is there to be copied.
        if not staff:
            return
        titles = [self._text(title) for title in (ROLE, EMAIL, PASSWORD, TOTP_SECRET, TOTP_NOW)]
        names = ("role", "email", "password", "totp_secret")
        rows = [titles] + [[*(str(person[name]) for name in names), pyotp.TOTP(str(person["totp_secret"])).now()] for person in staff]
        widths = [max(cell_len(row[column]) for row in rows) for column in range(len(titles))]
        self._console.print()
        for row in rows:
            cells = [cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
            self._console.print("  " + "  ".join(cells).rstrip(), soft_wrap=True, markup=False, highlight=False)
        self._console.print()

    def write_demo(self, credentials: dict[str, Any], emulator_url: str, codes: list[str]) -> None:
        """Write ``demo.json`` in one move, readable by its owner only."""
        settings = self._settings
        staff = [{name: person[name] for name in ("email", "password", "totp_secret", "role")} for person in credentials.get("staff", [])]
        facts = {
            "base_url": settings.base_url,
            "admin_url": f"{settings.base_url}/admin/",
            "staff": staff,
            "partner": credentials.get("partner", {}),
            "wechat": {"emulator_url": emulator_url or settings.wechat_api_base.rstrip("/"), "codes": codes},
        }
        draft = self._file.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(facts, ensure_ascii=False, indent=2), encoding="utf-8")
        draft.replace(self._file)
