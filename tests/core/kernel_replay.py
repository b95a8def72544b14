"""A world told to one kernel as it would happen: entries arrive, blocks come, time passes, windows open.

The kernel belongs to a bystander: it follows the market and signs nothing. Whenever it opens a window, the same is
asked of the reference, with the effective epochs that the reference gives to what has arrived.
Run as a script it prints a digest of all windows of a seeded world.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orrange_p2p.core.events import BlockAdded, EntriesReceived, Event, Identity, SyncRoundEnded, Ticked
from orrange_p2p.core.kernel import Kernel
from orrange_p2p.core.types import Address, Digest, PeerId, Signature
from orrange_p2p.core.window import Window
from protocol.reference import chain, feeds
from protocol.reference.matching import effective_epoch
from protocol.reference.orders import order_from
from protocol.reference.presence import absent_sessions
from protocol.reference.signing import digest, keccak
from protocol.reference.types import Clock, epoch_start_ms
from tests.core.adapters import FAST_DOMAIN, RULES, as_tuples, fast_blocks, verified
from tests.core.pens import DOMAIN, FIRST_EPOCH, MARKET_ID
from tests.core.signers import Peer, Signer
from tests.core.worlds import CLOCK, World, build_world, throw_steps

Happening = tuple[int, int, bytes | chain.Block | None]  # when in ms, tie-break, what; None is the clock's own tick

SOURCE = PeerId(Peer("the one who tells").peer_id)


@dataclass
class Arrivals:
    """What has arrived at the node so far, as the reference sees it.

    Attributes:
        entries: Encoded entries, as they came.
        blocks: The chain so far.
        assignment: The effective epoch of every order whose entry has become contiguous.
    """

    clock: Clock = CLOCK
    entries: list[bytes] = field(default_factory=list)
    blocks: list[chain.Block] = field(default_factory=list)
    assignment: dict[bytes, int] = field(default_factory=dict)
    alive_ms: dict[bytes, int] = field(default_factory=dict)
    absent: frozenset[bytes] = frozenset()
    _held: dict[bytes, list[feeds.Entry]] = field(default_factory=dict)
    _next_seq: dict[bytes, int] = field(default_factory=dict)

    def take_entry(self, encoded: bytes, now_ms: int) -> None:
        """Note an entry and the orders that become contiguous by it. Spec: [FEED-5], [MATCH-1]."""
        self.entries.append(encoded)
        entry = feeds.read_sound_entry(DOMAIN, encoded)
        if entry.market != MARKET_ID:
            return
        held = self._held[entry.session] = feeds.receive(self._held.get(entry.session, []), entry)
        next_seq = self._next_seq.get(entry.session, 0)
        while any(one.seq == next_seq for one in held):
            for one in held:
                if one.seq == next_seq:
                    self._assign(one, now_ms)
            next_seq += 1
        self._next_seq[entry.session] = next_seq

    def look_around(self, now_ms: int) -> None:
        """Note who is absent now; the node has been synced since genesis. Spec: [PEER-3]."""
        silent = absent_sessions(self.clock, self._held, self.alive_ms, self.clock.genesis_ms, now_ms)
        self.absent = frozenset(silent)

    def _assign(self, entry: feeds.Entry, now_ms: int) -> None:
        dead_ms = self.clock.constants.dead_s * 1000
        oldest = max(0, now_ms - dead_ms - self.clock.genesis_ms) // self.clock.constants.epoch_ms
        standing = feeds.read_feed(DOMAIN, (entry.session, entry.market), self._held[entry.session]).standing
        if entry in standing and entry.epoch >= oldest:
            self.alive_ms[entry.session] = now_ms
        effective = effective_epoch(self.clock, entry.epoch, now_ms, was_before_synced=False)
        for item in entry.items:
            if item[0] != feeds.ORDER:
                continue
            order = order_from(item[1])
            if order.session == entry.session:
                self.assignment.setdefault(digest(DOMAIN, "Order", order), effective)


def bystander() -> Identity:
    """Someone who follows the market and has no part in it."""
    session, peer = Signer("a bystander"), Peer("a bystander")
    return Identity(
        owner=Address(session.address),
        session=Address(session.address),
        peer_id=PeerId(peer.peer_id),
        encryption_key=keccak(peer.peer_id),
        sign=lambda signed: Signature(session.sign(signed)),
        peer_sign=lambda signed: peer.sign(signed),
    )


def throw_schedule(world: World, dice: Random) -> list[Happening]:
    """When what happens: most entries in their epoch, some late, some twice."""
    arriving: list[tuple[int, bytes]] = []
    for encoded in world.entries:
        for entry in verified([encoded]):
            start_ms = epoch_start_ms(CLOCK, entry.entry.header.epoch)
            for _ in range(dice.choice((1, 1, 2))):
                late_ms = dice.choice((0, 0, 0, 0, 500, 900, 3000)) + dice.randrange(CLOCK.constants.epoch_ms)
                arriving.append((start_ms + late_ms, encoded))
    return schedule(world, arriving)


def schedule(world: World, arriving: list[tuple[int, bytes]]) -> list[Happening]:
    """Entries at their times, blocks soon after theirs, and a tick of the clock whenever a window opens."""
    happenings: list[Happening] = [(when_ms, number, encoded) for number, (when_ms, encoded) in enumerate(arriving)]
    for block in world.blocks:
        happenings.append((block.time_s * 1000 + 200, len(happenings), block))
    for epoch in range(FIRST_EPOCH - 1, world.epoch + 30):
        opens_ms = epoch_start_ms(CLOCK, epoch + 1) + CLOCK.constants.grace_ms
        happenings.append((opens_ms, len(happenings), None))
    return sorted(happenings, key=lambda happening: happening[:2])


def replay(world: World, happenings: list[Happening]) -> Iterator[tuple[Window, Arrivals]]:
    """Tell a world to a kernel; yields each window it opens with what had arrived by then."""
    kernel = Kernel(FAST_DOMAIN, [RULES], bystander())
    market = kernel.markets[RULES.market_id]
    arrivals = Arrivals()
    fast = dict(zip((block.number for block in world.blocks), fast_blocks(world.blocks), strict=True))
    seen: Window | None = None
    sync = SyncRoundEnded(now_ms=CLOCK.genesis_ms, peer=SOURCE, market=RULES.market_id, heads=())
    kernel.step(sync)
    for now_ms, _, what in happenings:
        event: Event = Ticked(now_ms=now_ms)
        if isinstance(what, chain.Block):
            event = BlockAdded(now_ms=now_ms, block=fast[what.number])
            arrivals.blocks.append(what)
        elif what is not None:
            entries = tuple(verified([what]))
            event = EntriesReceived(now_ms=now_ms, market=RULES.market_id, entries=entries, source=SOURCE)
            arrivals.take_entry(what, now_ms)
        kernel.step(event)
        window = market.windows.current
        if window is not None and window is not seen:
            seen = window
            arrivals.look_around(now_ms)
            yield window, arrivals


def replay_seed(seed: int, count: int) -> Iterator[tuple[Window, Arrivals]]:
    """A thrown world as a thrown schedule has it happen."""
    world = build_world(2 + seed % 2, throw_steps(seed, count))
    return replay(world, throw_schedule(world, Random(seed)))


def digest_of_windows(seed: int, count: int) -> Digest:
    """One number for every window of a seeded world: epochs, digests and pieces."""
    windows = [
        (window.epoch, window.block.number, window.digest.hex(), as_tuples(window.pieces))
        for window, _ in replay_seed(seed, count)
    ]
    return Digest(keccak(repr(windows).encode()))


if __name__ == "__main__":
    print(digest_of_windows(int(sys.argv[1]), int(sys.argv[2])).hex())
