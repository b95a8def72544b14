"""Where the benchmarks' orders come from: an endless supply, the same for the same seed."""

from random import Random

from orrange_p2p.core.book import BookOrder
from orrange_p2p.core.types import Address, Epoch, MarketId, Order, OrderId, OrderKind, Side, TimeInForce

MARKET_ID = MarketId(b"\x4d" * 32)
OWNERS = 500
MIDDLE_TICKS = 1_000_000
NEAR_TICKS = 40
DEEP_TICKS = 20_000
CROSSING_SHARE = 20  # one order in so many reaches across the middle


class Street:
    """Orders of some hundred owners, most of them resting away from the middle."""

    def __init__(self, seed: int) -> None:
        self._source = Random(seed)
        self._owners = [self._address() for _ in range(OWNERS)]
        self._sessions = [self._address() for _ in range(OWNERS)]
        self._nonce = 0

    def _address(self) -> Address:
        return Address(self._source.randbytes(20))

    def order(self) -> Order:
        """A new order, on either side."""
        side = Side(self._source.randrange(2))
        reaches_across = self._source.randrange(CROSSING_SHARE) == 0
        away = -self._source.randrange(NEAR_TICKS) if reaches_across else 1 + self._source.randrange(DEEP_TICKS)
        lots = 1 + self._source.randrange(50)
        return self.order_at(side, MIDDLE_TICKS + (away if side is Side.SELL else -away), lots)

    def order_at(self, side: Side, price_ticks: int, quantity_lots: int) -> Order:
        """A new order as told, of some owner."""
        number = self._source.randrange(OWNERS)
        self._nonce += 1
        return Order(
            market=MARKET_ID,
            owner=self._owners[number],
            session=self._sessions[number],
            nonce=self._nonce,
            side=side,
            kind=OrderKind.LIMIT,
            price_ticks=price_ticks,
            quantity_lots=quantity_lots,
            tif=TimeInForce.GTC,
            expiry_s=1_900_000_000,
        )

    def rest(self, order: Order, epoch: int) -> BookOrder:
        """The order as the book has it, untouched, its id made up."""
        return BookOrder(
            order_id=OrderId(self._source.randbytes(32)),
            order=order,
            placed=Epoch(epoch),
            free=((0, order.quantity_lots),),
            is_matchable=True,
        )

    def pick(self, order_ids: list[OrderId], count: int) -> list[OrderId]:
        """Some of them."""
        return self._source.sample(order_ids, count)
