"""Starts the emulator: ``python -m server.wechat.emulator --port 8001 --data var/wechat``."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from werkzeug.serving import make_server

from config.settings import Settings
from server.wechat.emulator.account import Account
from server.wechat.emulator.app import create_app
from server.wechat.emulator.outbound import PushTarget
from server.wechat.emulator.platform import Platform
from server.wechat.push import PushSecrets

# Every third person of the demonstration, as it says itself.
_FOLLOWERS = {f"demo-oa-{number:03d}": f"demo-union-{number:03d}" for number in range(0, 300, 3)}


def main() -> None:
    """Serve until stopped."""
    # Defaults are those of the demonstration, so that product and emulator fit each other without being told.
    demo = {name: str(info.default) for name, info in Settings.model_fields.items()}
    parser = argparse.ArgumentParser(prog="server.wechat.emulator", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--appid", default=demo["wechat_appid"])
    parser.add_argument("--secret", default=demo["wechat_secret"])
    parser.add_argument("--push-url", default="", help="the product's /callbacks/wechat/mini-program; empty for no push")
    parser.add_argument("--push-token", default=demo["wechat_push_token"])
    parser.add_argument("--push-aes-key", default=demo["wechat_push_aes_key"], help="empty for the plain mode")
    parser.add_argument("--demo-allowances", type=int, default=3, help="acceptances the demonstration's people begin with")
    parser.add_argument("--account-appid", default="", help="of the Official Account; empty for none")
    parser.add_argument("--account-secret", default="")
    parser.add_argument("--account-push-url", default="", help="the product's /callbacks/wechat/official-account")
    parser.add_argument("--account-push-token", default="")
    parser.add_argument("--account-push-aes-key", default="")
    parser.add_argument("--outbound", type=Path, help="the folder of the stand-ins for text messages and e-mail")
    options = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    target = None
    if options.push_url:
        secrets = PushSecrets(options.appid, options.push_token, options.push_aes_key)
        target = PushTarget(options.push_url, secrets, safe=bool(options.push_aes_key))
    platform = Platform(options.appid, options.secret, folder=options.data, demo_allowances=options.demo_allowances)
    account = account_target = None
    if options.account_appid:
        account = Account(options.account_appid, options.account_secret, folder=options.data, outbound=options.outbound, demo=_FOLLOWERS)
        secrets = PushSecrets(options.account_appid, options.account_push_token, options.account_push_aes_key)
        account_target = PushTarget(options.account_push_url, secrets, own_id="gh_account") if options.account_push_url else None
    app = create_app(platform, target, account, account_target)
    # The loopback only: whoever reaches it may log in as anybody.
    make_server("127.0.0.1", options.port, app, threaded=True).serve_forever()


if __name__ == "__main__":
    main()
