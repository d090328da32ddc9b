"""Carriers' news: what an aggregator tells about a parcel, in our own words, and how we ask it to keep telling.

Invariants: an adapter only translates; the same report always gives the same events, and nothing is trusted before its
signature is checked.
"""
