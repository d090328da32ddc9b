"""The message catalogues: English in the code, Chinese in ``locale/zh_CN/<part>.po``, one part for each domain.

The parts are compiled into one ``messages.mo`` that Flask-Babel reads. It is built when a part is newer, so a fresh checkout needs no
step of its own; an image with a read-only tree builds it beforehand (``python -m config.locale``).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask import has_request_context, request, session

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCALE_DIR = Path(__file__).parent / "locale"
CHINESE = "zh_CN"
ENGLISH = "en"
# Babel resolves zh_CN to zh_Hans_CN and looks for the compiled catalogue under that name only.
_COMPILED = LOCALE_DIR / str(Locale.parse(CHINESE)) / "LC_MESSAGES" / "messages.mo"


def parts() -> Iterator[Path]:
    """Yield the source catalogues in order of name."""
    yield from sorted((LOCALE_DIR / CHINESE).glob("*.po"))


def read_parts() -> Catalog:
    """Return all parts as one catalogue; of a message that two parts translate, the first part's text counts."""
    whole = Catalog(locale=CHINESE, charset="utf-8", fuzzy=False)
    for part in parts():
        with part.open("rb") as file:
            for message in read_po(file, locale=CHINESE):
                if message.id and message.string and whole.get(message.id, message.context) is None:
                    whole.add(message.id, message.string, context=message.context)
    return whole


def ensure_compiled() -> None:
    """Compile the parts when one of them is newer than what is compiled."""
    newest = max((part.stat().st_mtime for part in parts()), default=0.0)
    if _COMPILED.exists() and _COMPILED.stat().st_mtime >= newest:
        return
    _COMPILED.parent.mkdir(parents=True, exist_ok=True)
    # Several workers may start at once: each writes a file of its own and moves it into place.
    handle, path = tempfile.mkstemp(dir=_COMPILED.parent)
    with os.fdopen(handle, "wb") as file:
        write_mo(file, read_parts())
    Path(path).chmod(0o644)
    Path(path).replace(_COMPILED)


# Parsed once: Babel looks a name up among a thousand each time it is given one.
_LOCALES = {name: Locale.parse(name) for name in (CHINESE, ENGLISH)}


def select_locale() -> Locale:
    """Return the language of the present request: the console's own choice first, then ``Accept-Language``, Chinese by default."""
    return _LOCALES[_selected()]


def _selected() -> str:
    if not has_request_context():
        return CHINESE
    chosen = session.get("language") if request.path.startswith("/admin") else None
    if chosen in _LOCALES:
        return str(chosen)
    best = request.accept_languages.best_match(["zh-CN", "zh", "en"])
    if request.path.startswith("/admin"):
        return CHINESE
    return ENGLISH if best == "en" else CHINESE


if __name__ == "__main__":
    ensure_compiled()
