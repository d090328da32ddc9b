"""Throws broken pushes at the reader of WeChat's server push: ``python -m tests.properties.fuzz_push --count 10000000``.

Each input is a valid push (every event, JSON and XML, plain and safe mode) that was damaged: bytes, values, structure, encryption,
envelope or query. Damaged content is signed and encrypted properly all the same, so that it gets past the signature to where the
parsers are. The only exception the reader may raise is ``PushRejectedError``; whatever it accepts must be fit to be stored.

Blocks of inputs are numbered, and block n of a seed is always the same: a finding names both.
"""

from __future__ import annotations

import argparse
import base64
import json
import multiprocessing
import random
import string
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from server.wechat import push
from server.wechat.errors import PushRejectedError
from server.wechat.push import PushEvent, PushSecrets

SECRETS = PushSecrets("wxfuzz0123456789", "fuzz-token", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")
NOW = datetime(2026, 6, 15, 4, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
BLOCK = 5_000
_SHOWN_FINDINGS = 20
_TELL_EVERY = 500_000
OUTCOMES = ("accepted", "refused behind the signature", "refused at the door", "FOUND")

_HEAD: dict[str, Any] = {"ToUserName": "gh_1", "FromUserName": "oFuzz_1", "CreateTime": int(STAMP), "MsgType": "event"}
_POPUP = {"TemplateId": "tmpl_1", "SubscribeStatusString": "accept", "PopupScene": "0"}
_SENT = {"TemplateId": "tmpl_1", "MsgID": "1700827132819554304", "ErrorCode": "0", "ErrorStatus": "success"}
CORPUS: list[dict[str, Any]] = [
    _HEAD | {"Event": "subscribe_msg_popup_event", "List": _POPUP},
    _HEAD | {"Event": "subscribe_msg_change_event", "List": [_POPUP | {"SubscribeStatusString": "reject"}]},
    _HEAD | {"Event": "subscribe_msg_sent_event", "List": [_SENT, _SENT | {"MsgID": "1700827132819554305"}]},
    _HEAD | {"Event": "subscribe_msg_sent_event", "SubscribeMsgSentEvent": {"List": [_SENT]}},
    _HEAD | {"Event": "wxa_media_check", "trace_id": "t1", "version": 2, "result": {"suggest": "risky", "label": 20002}, "detail": []},
    _HEAD | {"Event": "user_authorization_revoke", "OpenID": "oFuzz_2", "AppID": SECRETS.appid, "RevokeInfo": "8"},
    _HEAD | {"Event": "user_authorization_cancellation", "OpenID": "oFuzz_2", "AppID": SECRETS.appid},
    _HEAD | {"Event": "trade_manage_order_settlement", "merchant_trade_no": "S1", "transaction_id": "42", "settlement_time": 1},
    _HEAD | {"MsgType": "text", "Content": "你好 <b>&amp;", "MsgId": 6054768590064713728},
]
NASTY: list[Any] = [
    None, True, False, 0, -1, 1e308, -1e308, float("inf"), float("nan"), 10**30, 10**400, -(10**400), "", " ", "\x00", "\ud800", "\udfff x",
    "٣٤", "²", "１７８１４９６０００", "+5", "1_000", "1e9", "0x10", "-0", "𝟙", "a" * 70, "a" * 3000, "\u202eabc", "%s%n", "../..", "'; --", [], {}, [[]], [None],
    [1, "2", {"List": 3}], {"a": {"b": {}}}, {"#text": "x", "@a": "y"}, [{}] * 101, "\r\n", "NaN", "9" * 5000, "\u0130", "ß", "ı",
]  # fmt: skip
TOKENS: list[bytes] = [
    b"{", b"}", b"[", b"]", b'"', b"\\", b"\\ud800", b"\\u0000", b",", b":", b"null", b"1e999", b"NaN", b"-", b"\x00", b"\xff", b"\xed\xa0\x80",
    b"\xef\xbb\xbf", b"\xfe\xff", b"<", b">", b"</xml>", b"<xml>", b"<![CDATA[", b"]]>", b"]]", b"&amp;", b"&lol;", b"&#0;", b"&#x110000;", b"&#55296;",
    b"<?xml version='1.0' encoding='utf-16'?>", b"<?xml version='1.0' encoding='rot13'?>", b"<?xml version='1.0' encoding='shift_jis'?>", b"<?pi?>",
    b"<!DOCTYPE xml [<!ENTITY a 'x'><!ENTITY b '&a;&a;'>]>", b"<!--", b"-->", b"xmlns:a='b'", b"<List>", b"</List>", b"<a:b/>", b"1" * 5000,
]  # fmt: skip
_DEEP = [4, 15, 16, 17, 40, 900, 1100, 3000]


@dataclass
class Tally:
    """What became of the inputs."""

    counts: Counter[str] = field(default_factory=Counter)
    findings: dict[str, str] = field(default_factory=dict)


class _Signed:
    """Counts the inputs that got past the signature and the window."""

    def __init__(self) -> None:
        self.passed = 0
        self._check = push._check

    def __enter__(self) -> Self:
        def check(*arguments: Any) -> None:
            self._check(*arguments)
            self.passed += 1

        push._check = check
        return self

    def __exit__(self, *_: object) -> None:
        push._check = self._check


def xml_of(value: Any, name: str = "xml") -> str:
    """Return content in WeChat's XML."""
    if isinstance(value, dict):
        inner = "".join("".join(xml_of(one, key) for one in (item if isinstance(item, list) else [item])) for key, item in value.items())
        return f"<{name}>{inner}</{name}>"
    if isinstance(value, int | float) or value is None:
        return f"<{name}>{value}</{name}>"
    return f"<{name}><![CDATA[{value}]]></{name}>"


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _damaged_values(chance: random.Random, content: dict[str, Any]) -> dict[str, Any]:
    """Return content with values replaced, removed, wrapped or moved at any depth."""
    content = _copy(content)
    for _ in range(chance.randint(1, 3)):
        holder: Any = content
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = chance.choice(keys)
            if isinstance(holder[key], dict | list) and holder[key] and chance.random() < 0.6:
                holder = holder[key]
                continue
            what = chance.randrange(5)
            if what == 0:
                del holder[key]
            elif what == 1:
                holder[key] = [holder[key]] if chance.random() < 0.5 else {"List": holder[key]}
            elif what == 2:
                holder[key] = _copy(chance.choice(list(content.values()) or [0]))
            else:
                holder[key] = _copy(chance.choice(NASTY))
            break
    return content


def _damaged_bytes(chance: random.Random, body: bytes) -> bytes:
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(body) + 1)
        what = chance.randrange(7)
        if what == 0:
            body = body[:at]
        elif what == 1:
            body = body[:at] + chance.choice(TOKENS) + body[at:]
        elif what == 2:
            body = body[:at] + bytes([chance.randrange(256)]) + body[at + 1 :]
        elif what == 3:
            body = body[:at] + body[at + chance.randrange(1, 12) :]
        elif what == 4:
            end = min(len(body), at + chance.randrange(1, 60))
            body = body[:end] + body[at:end] * chance.randrange(1, 4) + body[end:]
        elif what == 5:
            body = body[at:] + body[:at]
        else:
            body = chance.choice(TOKENS) + body
    return body


def _deep(chance: random.Random) -> bytes:
    depth = chance.choice(_DEEP)
    head = b'{"FromUserName":"o","CreateTime":1,"x":'
    return chance.choice(
        (
            head + b"[" * depth + b"]" * depth + b"}",
            head + b'{"a":' * depth + b"1" + b"}" * depth + b"}",
            b"<xml><FromUserName>o</FromUserName>" + b"<a>" * depth + b"</a>" * depth + b"</xml>",
        )
    )


def _bomb(chance: random.Random) -> bytes:
    rounds = chance.randint(2, 12)
    entities = "<!ENTITY a0 'lol'>" + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, rounds))
    outside = "<!ENTITY a0 SYSTEM 'file:///etc/passwd'>"
    return f"<!DOCTYPE xml [{chance.choice((entities, outside))}]><xml><FromUserName>&a{rounds - 1};</FromUserName></xml>".encode()


def _message(chance: random.Random) -> bytes:
    """Return the damaged content of one push, unsigned and unencrypted."""
    what = chance.random()
    if what < 0.001:
        return _deep(chance)
    if what < 0.003:
        return _bomb(chance)
    content = chance.choice(CORPUS)
    if what < 0.55:
        content = _damaged_values(chance, content)
    # XML is read ten times as slowly as JSON, and WeChat is asked for JSON.
    if chance.random() < 0.87:
        body = json.dumps(content, ensure_ascii=chance.random() < 0.5).encode(errors="surrogatepass")
    else:
        body = xml_of(content).encode(errors="surrogatepass")
    return body if what < 0.5 or what > 0.97 else _damaged_bytes(chance, body)


def _encrypted(chance: random.Random, message: bytes) -> str:
    """Return a message in safe mode; now and then with wrong lengths, padding, app or encoding."""
    what = chance.random()
    if what < 0.8:
        return push.encrypt(message, SECRETS, prefix=b"0123456789abcdef")
    if what < 0.84:
        return push.encrypt(message, PushSecrets("wxother", SECRETS.token, SECRETS.aes_key), prefix=b"0123456789abcdef")
    good = push.encrypt(message, SECRETS, prefix=b"0123456789abcdef")
    if what < 0.9:
        # The length field is the four bytes after the first block; flipping the first block's ciphertext flips exactly them.
        raw = bytearray(base64.b64decode(good))
        raw[chance.randrange(min(32, len(raw)))] ^= 1 << chance.randrange(8)
        return base64.b64encode(bytes(raw)).decode()
    if what < 0.94:
        return good[: chance.randrange(len(good))]
    if what < 0.97:
        at = chance.randrange(len(good))
        return good[:at] + chance.choice(("=", "-", "é", "\ud800", "\n", " ", "*")) + good[at:]
    return chance.choice(("", "====", "A", "AAAA", "é", base64.b64encode(b"x" * chance.randrange(100)).decode()))


def _nasty_text(chance: random.Random) -> str:
    value = chance.choice(NASTY)
    return value if isinstance(value, str) else "".join(chance.choices(string.printable + "٣é\x00\ud800", k=chance.randrange(12)))


def an_input(chance: random.Random) -> tuple[dict[str, str], bytes]:
    """Return the query and the body of one damaged push, signed for what it says."""
    stamp, nonce = STAMP, "nonce"
    if chance.random() < 0.06:
        stamp = chance.choice(
            (_nasty_text(chance), str(int(STAMP) + chance.randrange(-400, 400)), "9" * chance.choice((1, 10, 11, 20, 400, 5000)))
        )
    if chance.random() < 0.04:
        nonce = _nasty_text(chance)
    message = _message(chance)
    query = {"timestamp": stamp, "nonce": nonce, "signature": push.signature_of(SECRETS.token, stamp, nonce)}
    if chance.random() < 0.7:
        body = message
    else:
        encrypted = _encrypted(chance, message)
        query |= {"encrypt_type": "aes", "msg_signature": push.signature_of(SECRETS.token, stamp, nonce, encrypted)}
        envelope = {"ToUserName": "gh_1", "Encrypt": encrypted}
        body = (json.dumps(envelope) if chance.random() < 0.85 else xml_of(envelope)).encode(errors="surrogatepass")
        if chance.random() < 0.05:
            body = _damaged_bytes(chance, body)
    if chance.random() < 0.02:
        query[chance.choice(list(query))] = _nasty_text(chance)
    return query, body


def _fit_to_be_stored(event: PushEvent) -> None:
    """Do what the product does with an accepted push: every text must be one that a database takes."""
    json.dumps(dict(event.content), ensure_ascii=False).encode()
    named = [event.kind, event.event, event.openid, *(text for item in event.items for text in item.values.values())]
    if any("\x00" in text or len(text) > 200 for text in named):
        message = "a text that a column would not take"
        raise AssertionError(message)


def run_block(seed: str, block: int, count: int = BLOCK) -> Tally:
    """Try the inputs of one block."""
    chance = random.Random(f"{seed}:{block}")
    tally = Tally()
    with _Signed() as signed:
        for _ in range(count):
            query, body = an_input(chance)
            before = signed.passed
            try:
                _fit_to_be_stored(push.read(query, body, SECRETS, NOW))
                outcome = "accepted"
            except PushRejectedError:
                outcome = "refused behind the signature" if signed.passed > before else "refused at the door"
            except Exception as error:  # noqa: BLE001 - this is what is looked for
                outcome = "FOUND"
                place = traceback.extract_tb(error.__traceback__)[-1]
                name = f"{type(error).__name__} at {place.filename.rpartition('/')[2]}:{place.lineno}"
                tally.findings.setdefault(name, f"seed {seed} block {block}: query {query!r:.600} body {body!r:.600}")
            tally.counts[outcome] += 1
            tally.counts["past the signature"] += signed.passed > before
    return tally


def _run(job: tuple[str, int, int]) -> Tally:
    return run_block(*job)


def jobs(seed: str, count: int) -> Iterator[tuple[str, int, int]]:
    """Divide the inputs into blocks."""
    for block in range(-(-count // BLOCK)):
        yield seed, block, min(BLOCK, count - block * BLOCK)


def run(seed: str, count: int, processes: int) -> Tally:
    """Try that many inputs over so many processes."""
    total = Tally()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for tally in pool.imap_unordered(_run, jobs(seed, count)):
            done = sum(total.counts[name] for name in OUTCOMES) // _TELL_EVERY
            total.counts += tally.counts
            if sum(total.counts[name] for name in OUTCOMES) // _TELL_EVERY > done:
                print(f"{dict(total.counts)}, findings {len(total.findings)}", file=sys.stderr, flush=True)
            for name, how in tally.findings.items():
                total.findings.setdefault(name, how)
    return total


def main() -> None:
    """Run from the command line; the exit code is 1 when something was found."""
    parser = argparse.ArgumentParser(prog="tests.properties.fuzz_push", description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", default="huiban")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    began = time.perf_counter()
    tally = run(options.seed, options.count, options.processes)
    seconds = time.perf_counter() - began
    tried = options.count
    print(f"{tried:,} inputs in {seconds:.0f} s, {tried / seconds:,.0f} a second over {options.processes} processes, seed {options.seed!r}")
    for name, count in tally.counts.most_common():
        print(f"  {name}: {count:,} ({count / tried:.1%})")
    print(f"  findings: {len(tally.findings)}")
    for name, how in list(tally.findings.items())[:_SHOWN_FINDINGS]:
        print(f"    {name}\n      {how}")
    sys.exit(1 if tally.findings else 0)


if __name__ == "__main__":
    main()
