"""Cancel scopes for closing things down."""

import trio


def shielded(limit_s: float) -> trio.CancelScope:
    """A scope in which clean-up goes on although we were cancelled, but no longer than this."""
    return trio.CancelScope(deadline=trio.current_time() + limit_s, shield=True)
