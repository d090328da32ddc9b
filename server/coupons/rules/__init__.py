"""The rules of coupons, pure: terms, states, quotes and the sentence a member reads."""
