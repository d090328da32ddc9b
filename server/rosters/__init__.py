"""Rosters: who was in a segment when it was last built, for rooms that must not know how a segment is decided.

It lies low on the ladder, so that coupons ask it as they ask for a tier; the segments above fill it.

Invariants:
- a member is in a segment when the built version of its roster names them: membership is as of the last build, and a segment that
  was never built has nobody in it;
- a build fills a version of its own, range by range, and becomes the built one in a single update: no reader sees half of it;
- of several who build one segment, one at a time moves on: the roster's row is their lock.
"""
