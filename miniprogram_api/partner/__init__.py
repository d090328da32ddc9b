"""Partner API, version 1: calls signed with HMAC by tills, shops and ERPs."""
