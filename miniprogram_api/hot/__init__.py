"""The hottest answers before Flask: most of their cost was finding the way to them.

What Flask's way does is done here by the same functions: guard, work, rate, request id, log, metrics, headers. Only plain answers are
given here. Whatever is out of the ordinary (no token or one that is not good, a caller who knocks too often, a query string, a failure)
is left to Flask's way, which asks everything again.
"""

from miniprogram_api.hot.front import init_app

__all__ = ["init_app"]
