"""What a transaction offers for gas: enough for the next blocks, more when it is stuck, never more than the cap."""

from dataclasses import dataclass

from orrange_p2p.chain.backend import Fees, TransactionRefused

MAX_FEE_CAP_WEI = 200 * 10**9
"""Unless configured otherwise, a unit of gas costs at most so much, priority fee included."""

_RAISE_EIGHTHS = 9  # pools ask for a tenth more than before; an eighth stays above that after rounding


class FeeAboveCap(TransactionRefused):
    """The chain asks more for gas than the node may pay; nothing was sent."""

    code = "chain.fee_above_cap"


@dataclass(frozen=True, slots=True, kw_only=True)
class GasOffer:
    """What one version of a transaction offers for a unit of gas, in wei."""

    priority_fee_wei: int
    max_fee_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeePolicy:
    """How much to offer. `cap_wei` bounds the whole price of a unit of gas."""

    cap_wei: int = MAX_FEE_CAP_WEI

    def compute_first(self, fees: Fees) -> GasOffer:
        """The offer of a new transaction.

        Raises:
            FeeAboveCap: the next block alone costs more than the cap.
        """
        asked_wei = fees.base_fee_wei + fees.priority_fee_wei
        if asked_wei > self.cap_wei:
            raise FeeAboveCap(
                f"expected a gas price of at most {self.cap_wei} wei (max_fee_cap_wei), was {asked_wei}: nothing was "
                "sent; wait until gas is cheaper, or raise max_fee_cap_wei"
            )
        return GasOffer(priority_fee_wei=fees.priority_fee_wei, max_fee_wei=min(fees.max_fee_wei, self.cap_wei))

    def compute_raised(self, before: GasOffer, fees: Fees) -> GasOffer | None:
        """The offer that replaces `before` in every pool; None if that would be above the cap."""
        least = GasOffer(priority_fee_wei=_raised(before.priority_fee_wei), max_fee_wei=_raised(before.max_fee_wei))
        priority_fee_wei = max(least.priority_fee_wei, fees.priority_fee_wei)
        max_fee_wei = min(max(least.max_fee_wei, fees.max_fee_wei), self.cap_wei)
        if max_fee_wei < least.max_fee_wei:
            return None
        # The node pays no more for speed than a pool demands where the cap leaves no room for the going rate.
        return GasOffer(
            priority_fee_wei=max(least.priority_fee_wei, min(priority_fee_wei, max_fee_wei)), max_fee_wei=max_fee_wei
        )


def _raised(wei: int) -> int:
    """An eighth more, rounded up."""
    return -(-wei * _RAISE_EIGHTHS // 8)
