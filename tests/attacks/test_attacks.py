"""Honest orders keep trading under every attack: at least the share that each attack was measured to leave them.

`python -m tests.attacks` measures over more streets, with the same orders honestly kept beside it.
"""

import pytest

from tests.attacks.attacks import ATTACKS, COMING_BETWEEN
from tests.attacks.street import Street

LEAST_SHARE = {
    "parked pairs": 0.9,
    "makers who answer Ready and vanish": 0.4,
    "makers who answer nothing": 0.8,
    "takers who never come": 0.85,
    "takers who keep the Offer": 0.85,
    "withheld and backdated entries": 0.95,
    "unfunded parking": 0.95,
    "false checkpoints": 0.65,
}


def test_every_attack_has_a_least_share() -> None:
    assert set(LEAST_SHARE) == set(ATTACKS)


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_honest_orders_keep_trading(name: str) -> None:
    """Spec: [FEED-14], [HOLD-7], [FUND-5], [MATCH-11], [TICK-6], [TICK-11]."""
    street = Street(1)
    outcome = street.run(ATTACKS[name](street), between=name in COMING_BETWEEN)
    assert outcome.placed_lots > 500
    assert outcome.share >= LEAST_SHARE[name]


def test_a_street_without_attackers_trades_everything() -> None:
    assert Street(1, attackers=0).run().share == 1.0
