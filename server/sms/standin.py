"""The local stand-in for a provider of text messages: keeps what it took in, for the demonstration and the tests.

What it keeps lies in a file where one is given, one line each, so that the emulator's page can show it from another process.
"""

from __future__ import annotations

import json
from pathlib import Path

from server.kernel.ids import uuid7
from server.sms.gateway import SentSms, SmsText, segments_of

NAME = "local"


class LocalSms:
    """Takes every text message; ``taken`` lists those of this process.

    Arguments:
        file: where they are written down as well, or None.
    """

    name = NAME

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.taken: list[SmsText] = []

    def send(self, text: SmsText) -> SentSms:
        """Keep one message. See the Protocol."""
        sent = SentSms(NAME, uuid7().hex, segments_of(text.preview))
        self.taken.append(text)
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            entry = {"id": sent.message_id, "to": text.phone, "text": text.preview, "template": text.template_id, "segments": sent.segments}
            with self._file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(entry, ensure_ascii=False) + "\n")
        return sent
