"""Chains of reputation facts: a few owners who trade, bond and offend over some years, for both sides to judge."""

from dataclasses import dataclass, field, fields
from typing import Any

from hypothesis import strategies as st

from orrange_p2p.core.ledger import BlockRef, Ledger
from orrange_p2p.core.reputation import Standings
from protocol.reference import chain, reputation
from tests.core.adapters import fast_ledger
from tests.core.pens import MARKET_ID

DAY_S = 86_400
GENESIS_S = 1_700_000_000
UNIT = 10**6
OWNERS = tuple(bytes([number]) * 20 for number in range(0xA0, 0xA6))
PERIODS_S = (60, 3600, DAY_S, 3 * DAY_S)


def trade(maker: bytes, taker: bytes, sink_fee: int, ticket: int = 0) -> chain.TradeSettled:
    """A settled lot that paid a fee."""
    return chain.TradeSettled(
        ticket=ticket.to_bytes(32, "big"),
        market=MARKET_ID,
        maker_order=bytes(32),
        taker_order=bytes(32),
        maker_owner=maker,
        taker_owner=taker,
        is_maker_buyer=True,
        price_ticks=1,
        maker_from=0,
        maker_to=1,
        taker_from=0,
        taker_to=1,
        sink_fee=sink_fee,
    )


@dataclass
class Chronicle:
    """A chain that grows by days and seconds."""

    blocks: list[chain.Block] = field(default_factory=list)
    time_s: int = GENESIS_S

    def block(self, *facts: chain.Fact, days: int = 0, seconds: int = 0) -> "Chronicle":
        """Add a block some time after the last one."""
        self.time_s += days * DAY_S + seconds
        number = len(self.blocks) + 1
        block_hash = number.to_bytes(32, "big")
        self.blocks.append(chain.Block(number=number, hash=block_hash, time_s=self.time_s, facts=facts))
        return self

    def reference(self, owner: bytes, period_s: int = DAY_S, anchor: int | None = None) -> reputation.Explanation:
        """What the reference says of an owner at a block, the last one unless named."""
        blocks = self.blocks if anchor is None else self.blocks[:anchor]
        return reputation.explain(reputation.Record(blocks=tuple(blocks), period_s=period_s), owner)

    def standings(self, period_s: int = DAY_S, anchor: int | None = None) -> Standings:
        """The program's standings at a block, the last one unless named, with all blocks known."""
        ledger = fast_ledger(self.blocks)
        return Standings(ledger, reference_block(ledger, anchor), period_s)


def reference_block(ledger: Ledger, anchor: int | None) -> BlockRef | None:
    """A block of a ledger by number; 0 is none, None the last one."""
    if anchor == 0:
        return None
    return ledger.last_block if anchor is None else ledger.block(anchor)


def plain(value: Any) -> Any:
    """Either side's values, comparable."""
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return {"kind": type(value).__name__} | {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    return value


_owners = st.sampled_from(OWNERS)
_amounts = st.one_of(st.integers(0, 3), st.integers(0, 300 * UNIT), st.integers(1, 50).map(lambda units: units * UNIT))
FACTS: st.SearchStrategy[chain.Fact] = st.one_of(
    st.builds(trade, _owners, _owners, _amounts, st.integers(0, 2**64)),
    st.builds(trade, _owners, _owners, _amounts, st.integers(0, 2**64)),
    st.builds(chain.BondChanged, owner=_owners, amount=_amounts),
    st.builds(chain.BondChanged, owner=_owners, amount=st.integers(10 * UNIT, 500 * UNIT)),
    st.one_of(
        st.builds(chain.Slashed, owner=_owners, amount=_amounts, is_over_signing=st.booleans()),
        st.builds(chain.DisputeLost, owner=_owners, amount=_amounts),
        st.builds(chain.Defaulted, owner=_owners, ticket=st.just(bytes(32)), victim=_owners, amount=_amounts),
    ),
)
_steps = st.tuples(
    st.sampled_from((0, 0, 0, 1, 1, 2, 30, 89, 90, 180, 365, 800)),
    st.sampled_from((0, 1, 59, 60, 3600, DAY_S - 1)),
    st.lists(FACTS, max_size=6),
)


def _chronicle(steps: list[tuple[int, int, list[chain.Fact]]]) -> Chronicle:
    chronicle = Chronicle()
    for days, seconds, facts in steps:
        chronicle.block(*facts, days=days, seconds=seconds)
    return chronicle


def chronicles() -> st.SearchStrategy[Chronicle]:
    """Chains of up to a dozen blocks, most days apart, some in one second."""
    return st.lists(_steps, min_size=1, max_size=12).map(_chronicle)


def bonded(amount: int = 400 * UNIT, *, days: int = 2) -> Chronicle:
    """A chain on which every owner has had the same bond for some days."""
    everybody = (chain.BondChanged(owner=owner, amount=amount) for owner in OWNERS)
    return Chronicle().block(*everybody).block(days=days)
