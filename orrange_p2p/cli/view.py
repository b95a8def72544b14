"""How a run looks while it goes on: one screen for a terminal, one line for anything else."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from orrange_p2p.cli.units import MarketUnits

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_FIXED_LINES = 10  # head, blank lines, table headers, the two lines below, and one for the cursor
_MIN_LEVELS, _MAX_LEVELS = 4, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One price of one side: all free lots of matchable orders at it."""

    price_ticks: int
    lots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A ticket."""

    epoch: int
    price_ticks: int
    lots: int
    is_settled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRow:
    """One peer by its own word."""

    name: str
    links: int
    entries: int
    orders: int
    trades: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A run at one moment; `bids` and `asks` best first, `matches` newest first."""

    title: str
    stage: str
    elapsed_s: int
    sent_events: int
    all_events: int
    units: MarketUnits | None = None
    epoch: int | None = None
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    matches: tuple[Match, ...] = ()
    peers: tuple[PeerRow, ...] = ()
    trades: int = 0
    settled: int = 0
    gossip_drops: int = 0

    @property
    def agreeing(self) -> int:
        """How many peers hold the book that most peers hold."""
        digests = [peer.digest for peer in self.peers if peer.digest]
        return max((digests.count(digest) for digest in digests), default=0)


def render_line(snapshot: Snapshot) -> str:
    """One line of progress."""
    line = f"{snapshot.elapsed_s:4d} s  {snapshot.stage}"
    if snapshot.sent_events:
        line += f": {snapshot.sent_events}/{snapshot.all_events} events, {snapshot.trades} trades, "
        line += f"{snapshot.settled} settled"
    return line + (f", {_agreement(snapshot)}" if snapshot.agreeing else "")


def render_screen(snapshot: Snapshot, height: int) -> "RenderableType":
    """All of it, at most `height` lines, readable from 80 columns on."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    if not snapshot.peers:
        return _head(snapshot)
    peer_lines = min(len(snapshot.peers), max(1, height - _FIXED_LINES - 8))
    levels = max(_MIN_LEVELS, min(_MAX_LEVELS, height - _FIXED_LINES - peer_lines))
    middle = Table.grid(padding=(0, 4))
    middle.add_row(_book(snapshot, levels), _matches(snapshot, levels))
    is_agreed = snapshot.agreeing == len(snapshot.peers)
    waiting = snapshot.trades - snapshot.settled
    totals = f"{snapshot.trades} trades: {snapshot.settled} settled on the chain, {waiting} on their way; "
    return Group(
        _head(snapshot),
        Text(),
        middle,
        Text(),
        _peers(snapshot, peer_lines),
        Text(),
        Text(_agreement(snapshot), style="green" if is_agreed else "yellow", no_wrap=True),
        Text(totals + f"{snapshot.gossip_drops} gossip dropped", no_wrap=True),
    )


def _agreement(snapshot: Snapshot) -> str:
    if not snapshot.agreeing:
        return "no book yet"
    digest = max((peer.digest for peer in snapshot.peers), key=[peer.digest for peer in snapshot.peers].count)
    return f"{snapshot.agreeing} of {len(snapshot.peers)} peers hold book {digest[:8]} of epoch {snapshot.epoch}"


def _head(snapshot: Snapshot) -> "Table":
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    head = Table.grid(padding=(0, 2), expand=True)
    head.add_column(no_wrap=True)
    head.add_column(ratio=1)
    head.add_column(justify="right", no_wrap=True)
    head.add_row(Text(snapshot.title, style="bold"), "", f"{snapshot.elapsed_s} s")
    is_pulsing = snapshot.sent_events in (0, snapshot.all_events)
    bar = ProgressBar(total=snapshot.all_events, completed=snapshot.sent_events, pulse=is_pulsing)
    head.add_row(Text(snapshot.stage, style="cyan"), bar, f"{snapshot.sent_events}/{snapshot.all_events} events")
    return head


def _book(snapshot: Snapshot, levels: int) -> "Table":
    table = _plain_table()
    units = snapshot.units
    base, quote = (units.base, units.quote) if units is not None else ("", "")
    table.add_column(base, justify="right", min_width=8)
    table.add_column(f"bid {quote}", justify="right", min_width=9, style="green")
    table.add_column(f"ask {quote}", justify="right", min_width=9, style="red")
    table.add_column(base, justify="right", min_width=8)
    pairs = list(zip_longest(snapshot.bids[:levels], snapshot.asks[:levels]))
    for bid, ask in [*pairs, *[(None, None)] * (levels - len(pairs))]:
        table.add_row(
            _quantity(units, bid.lots if bid else None),
            _price(units, bid.price_ticks if bid else None),
            _price(units, ask.price_ticks if ask else None),
            _quantity(units, ask.lots if ask else None),
        )
    return table


def _matches(snapshot: Snapshot, lines: int) -> "Table":
    table = _plain_table()
    table.add_column("epoch", justify="right", min_width=5)
    table.add_column("trade", justify="right", min_width=9)
    table.add_column(snapshot.units.base if snapshot.units is not None else "", justify="right", min_width=8)
    table.add_column("", min_width=7)
    for match in snapshot.matches[:lines]:
        table.add_row(
            str(match.epoch),
            _price(snapshot.units, match.price_ticks),
            _quantity(snapshot.units, match.lots),
            "settled" if match.is_settled else "agreed",
            style=None if match.is_settled else "yellow",
        )
    return table


def _peers(snapshot: Snapshot, lines: int) -> "Table":
    table = _plain_table()
    table.add_column("peer", min_width=10)
    for name in ("links", "entries", "live orders", "trades"):
        table.add_column(name, justify="right", min_width=7)
    table.add_column("book")
    shown: Sequence[PeerRow] = snapshot.peers
    left = len(shown) - lines
    if left > 0:
        shown = shown[: lines - 1]
    for peer in shown:
        row = (peer.links, peer.entries, peer.orders, peer.trades)
        table.add_row(peer.name, *(str(value) for value in row), peer.digest[:8])
    if left > 0:
        table.add_row(f"and {left + 1} more")
    return table


def _plain_table() -> "Table":
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")


def _price(units: MarketUnits | None, ticks: int | None) -> str:
    return "" if units is None or ticks is None else units.price(ticks)


def _quantity(units: MarketUnits | None, lots: int | None) -> str:
    return "" if units is None or lots is None else units.quantity(lots)
