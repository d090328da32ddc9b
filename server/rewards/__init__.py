"""Rewards: what points are redeemed for — a coupon, goods that are sent, a service with a voucher — and how far they pay for an order.

Invariants:
- a reward is never promised more often than its stock, in all and on a day (conditional UPDATE, CHECK): issued + left = stock;
- a member never holds more redemptions of a reward than it allows (UNIQUE slot); a cancelled one gives stock and slot back;
- a redemption follows the price and terms as they stood when it was made, whatever happens to the reward later;
- points of a redemption with a cash part are reserved until it is paid, and released when nobody pays in time;
- cancelling gives the points back into the very lots they came from, and what was paid in money is due for refund until it is refunded;
- every change of state is a compare-and-set and a row that is never changed.

Every verb on a redemption locks the member's points account first, then the redemption, then the reward.
"""
