"""What a run came to: figures from every node's own state and from the chain.

Nothing here is assumed: books are recomputed by each node, tickets are compared set against set, and value is read
back from the contracts.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from orrange_p2p.core.events import Note
from orrange_p2p.core.presets import Preset

MAX_SAMPLES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Percentiles in whole milliseconds; None where nothing was measured."""

    p50: int | None
    p99: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures of a demo or devnet run.

    `unsent` requests found no peer in time, `unanswered` ones may or may not have been carried out, `peers_gone` did
    not answer at the end, and `stuck` pairs were entitled to each other at the end without a ticket.
    """

    peers: int
    orders: int
    cancels: int
    refused: int
    skipped: int
    entries: int
    tickets: int
    by_path: Mapping[str, int]
    settled: int
    unsettled: int
    books_equal: bool
    tickets_equal: bool
    value_conserved: bool
    order_to_ticket_ms: Latency
    ticket_to_chain_ms: Latency
    gossip_drops: int
    duration_s: int
    preset: Preset
    book_digest: str
    unsent: int = 0
    unanswered: int = 0
    peers_gone: tuple[int, ...] = ()
    stuck: int = 0

    @property
    def is_good(self) -> bool:
        """Whether every node is there and agrees, everything settled and no value was made or lost."""
        agrees = self.books_equal and self.tickets_equal and not self.peers_gone
        return agrees and self.value_conserved and self.unsettled == 0 and self.settled == self.tickets

    def as_json(self) -> dict[str, object]:
        """Plain values, for `--json`."""
        return asdict(self)

    def summary(self) -> str:
        """One line for a person."""
        if not self.is_good:
            faults = [
                fault
                for is_wrong, fault in (
                    (not self.books_equal, "the peers' books differ"),
                    (not self.tickets_equal, "the peers' tickets differ"),
                    (not self.value_conserved, "balances on the chain do not add up"),
                    (self.unsettled > 0, f"{self.unsettled} trades did not settle"),
                    (self.settled > self.tickets, f"{self.settled - self.tickets} settled trades are nobody's ticket"),
                    (bool(self.peers_gone), f"peers {list(self.peers_gone)} did not answer at the end"),
                )
                if is_wrong
            ]
            return "Something is wrong: " + ", ".join(faults) + "."
        orders, trades = _counted(self.orders, "order"), _counted(self.tickets, "trade")
        return (
            f"{self.peers} peers agreed on one book: {orders} became {trades}, all settled on the chain, no value made "
            f"or lost ({self.duration_s} s)."
        )


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


class Measurements:
    """Listens to the notes of one node or of all nodes of a run; keeps the latest MAX_SAMPLES of each latency."""

    def __init__(self) -> None:
        self.by_path: Counter[str] = Counter()
        self.order_to_ticket_ms: deque[int] = deque(maxlen=MAX_SAMPLES)
        self.ticket_to_chain_ms: dict[str, int] = {}
        self.tickets = 0

    def hear(self, note: Note, _now_ms: int) -> None:
        """Take in one note of any node."""
        details = dict(note.details)
        if note.name == "ticket_as_maker":
            self.tickets += 1
            self.by_path[str(details["path"] or "unknown")] += 1
        elif note.name == "ticket_as_taker" and "order_to_ticket_ms" in details:
            self.order_to_ticket_ms.append(int(details["order_to_ticket_ms"]))
        elif note.name == "settled":
            ticket, after_ms = str(details["ticket"]), int(details["after_ms"])
            self._note_settled(ticket, after_ms)

    def _note_settled(self, ticket: str, after_ms: int) -> None:
        """Maker and taker may both tell; the one that waited longer is right, also if the other was restarted."""
        self.ticket_to_chain_ms[ticket] = max(after_ms, self.ticket_to_chain_ms.get(ticket, 0))
        if len(self.ticket_to_chain_ms) > MAX_SAMPLES:
            del self.ticket_to_chain_ms[next(iter(self.ticket_to_chain_ms))]

    def add(self, by_path: Mapping[str, int], order_to_ticket_ms: Iterable[int], settled: Mapping[str, int]) -> None:
        """Take in what another program measured: its tickets as maker, and its latencies."""
        self.tickets += sum(by_path.values())
        self.by_path.update(by_path)
        self.order_to_ticket_ms.extend(order_to_ticket_ms)
        for ticket, after_ms in settled.items():
            self._note_settled(ticket, after_ms)

    def paths(self) -> dict[str, int]:
        """Tickets by the way they were agreed."""
        return {path: self.by_path.get(path, 0) for path in ("equal", "reconciled", "fallback")}


def measure_latency(samples_ms: Sequence[int]) -> Latency:
    """Nearest-rank percentiles."""
    if not samples_ms:
        return Latency(p50=None, p99=None)
    ordered = sorted(samples_ms)
    return Latency(p50=_rank(ordered, 50), p99=_rank(ordered, 99))


def _rank(ordered: Sequence[int], percent: int) -> int:
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
