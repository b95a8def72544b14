"""What attackers do on the street, each as a function that sets it up and answers what they do every round.

Attackers run honest kernels whose words are held back, or sign entries behind a kernel's back.
Spec: protocol/spec/02-feeds.md [FEED-14]; 03-orders.md [FUND-5], [HOLD-7]; 04-matching.md [MATCH-1], [MATCH-11];
05-tickets.md [TICK-6], [TICK-7], [TICK-11].
"""

from collections.abc import Callable

from orrange_p2p.core.events import EntriesReceived
from orrange_p2p.core.messages import Offer, OfferFrame, Prepare, TicketFrame, TicketItem
from orrange_p2p.core.types import Side, TimeInForce
from orrange_p2p.core.verify import VerifiedEntry
from tests.attacks.street import PRICE, Street, placed
from tests.core.hostile import false_checkpoints as told
from tests.core.hostile import hear, next_entry, signed_order
from tests.core.kernel_world import Peer

EveryRound = Callable[[int], None]
LOTS = 30


def _holding_back(street: Street, is_held: Callable[[object], bool]) -> None:
    """Nothing that attackers say and `is_held` names reaches anybody."""

    def deliver(source: Peer, _target: Peer, message: object) -> bool:
        return not (street.is_attacker(source) and is_held(message))

    street.world.deliver = deliver


def _says(message: object, kind: type) -> bool:
    """Whether entries on their way have an item of a kind."""
    return isinstance(message, EntriesReceived) and any(
        isinstance(item, kind) for entry in message.entries for item in entry.entry.items
    )


def parked_pairs(street: Street) -> EveryRound:
    """Two attackers stand entitled to each other at the best prices, and never come together."""
    _holding_back(street, lambda message: isinstance(message, Prepare))
    one, other = street.attackers[:2]

    def act(number: int) -> None:
        if number % 4 == 0:
            placed(street, one, Side.SELL, PRICE - 8, LOTS)
            placed(street, other, Side.BUY, PRICE + 8, LOTS)

    return act


def vanishing_makers(street: Street) -> EveryRound:
    """Attackers quote the best prices, answer Ready, and never countersign."""
    _holding_back(street, lambda message: isinstance(message, TicketFrame) or _says(message, TicketItem))

    def act(number: int) -> None:
        attacker = street.attackers[number % len(street.attackers)]
        placed(street, attacker, Side.SELL, PRICE - 6, LOTS)
        placed(street, attacker, Side.BUY, PRICE - 9, LOTS)

    return act


def mute_makers(street: Street) -> EveryRound:
    """Attackers quote the best prices and answer nothing at all."""
    _holding_back(street, lambda message: not isinstance(message, EntriesReceived))
    return _quoting(street)


def _quoting(street: Street) -> EveryRound:
    def act(number: int) -> None:
        attacker = street.attackers[number % len(street.attackers)]
        placed(street, attacker, Side.SELL, PRICE - 6, LOTS)

    return act


def takers_who_never_come(street: Street) -> EveryRound:
    """Attackers bid above everybody at once, are entitled to honest asks that rest, and never prepare."""
    _holding_back(street, lambda message: isinstance(message, Prepare))

    def act(number: int) -> None:
        attacker = street.attackers[number % len(street.attackers)]
        placed(street, attacker, Side.BUY, PRICE + 6, LOTS, TimeInForce.IOC)

    return act


def takers_who_keep_the_offer(street: Street) -> EveryRound:
    """Attackers bid above everybody at once, take the Ready and keep their Offer to themselves."""
    _holding_back(street, lambda message: isinstance(message, OfferFrame) or _says(message, Offer))

    def act(number: int) -> None:
        attacker = street.attackers[number % len(street.attackers)]
        placed(street, attacker, Side.BUY, PRICE + 6, LOTS, TimeInForce.IOC)

    return act


def withheld_and_backdated(street: Street) -> EveryRound:
    """Attackers' entries claim epochs long past and reach only some of the nodes at once, the others by sync."""
    epoch_of = street.honest[0].market.rules.epoch_at

    def act(number: int) -> None:
        attacker = street.attackers[number % len(street.attackers)]
        feed = attacker.market.feeds.feed(attacker.identity.session)
        claimed = max(0, epoch_of(street.world.now_ms) - 6)
        if feed is not None and feed.entries:
            claimed = max(claimed, feed.entries[-1].entry.header.epoch)
        side, price = (Side.SELL, PRICE - 5) if number % 2 else (Side.BUY, PRICE + 5)
        nonce = number + 1_000
        entry = next_entry(attacker, feed, [signed_order(attacker, side, price, LOTS, nonce)], claimed)
        attacker.market.feeds.add(entry)
        for target in street.random.sample(list(street.honest), 3):
            hear(street.world, target, attacker, [entry])

    return act


def unfunded_parking(street: Street) -> EveryRound:
    """Attackers park orders at the best prices that nothing pays for."""

    def act(number: int) -> None:
        attacker = street.attackers[number % len(street.attackers)]
        feed = attacker.market.feeds.feed(attacker.identity.session)
        items = [signed_order(attacker, Side.SELL, PRICE - 7, 10**9, 100 * number + one) for one in range(20)]
        entry = next_entry(attacker, feed, items, street.honest[0].market.rules.epoch_at(street.world.now_ms))
        attacker.market.feeds.add(entry)
        for target in street.honest:
            hear(street.world, target, attacker, [entry])

    return act


def false_checkpoints(street: Street) -> EveryRound:
    """Attackers quote the best prices, and one after the other end their feeds with a false Checkpoint."""
    lies = (4, 10)

    def act(number: int) -> None:
        for attacker, lie_at in zip(street.attackers, lies, strict=True):
            if number < lie_at:
                placed(street, attacker, Side.SELL, PRICE - 6, LOTS)
            elif number == lie_at and street.may_lie:
                street.world.gossip(attacker, [lie(street, attacker, number)])

    return act


def lie(street: Street, attacker: Peer, number: int) -> VerifiedEntry:
    """An attacker's next entry, whose Checkpoint is false."""
    feed = attacker.market.feeds.feed(attacker.identity.session)
    if feed is None:
        raise AssertionError("the attacker has said nothing yet")
    epoch = street.honest[0].market.rules.epoch_at(street.world.now_ms)
    lies = list(told(feed, epoch).values())
    return next_entry(attacker, feed, [lies[number % len(lies)]], epoch)


ATTACKS: dict[str, Callable[[Street], EveryRound]] = {
    "parked pairs": parked_pairs,
    "makers who answer Ready and vanish": vanishing_makers,
    "makers who answer nothing": mute_makers,
    "takers who never come": takers_who_never_come,
    "takers who keep the Offer": takers_who_keep_the_offer,
    "withheld and backdated entries": withheld_and_backdated,
    "unfunded parking": unfunded_parking,
    "false checkpoints": false_checkpoints,
}
WITHOUT_HONEST_FORM = ("withheld and backdated entries", "unfunded parking")
COMING_BETWEEN = ("takers who never come", "takers who keep the Offer")
