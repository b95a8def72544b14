// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";

import {OpenedTrade} from "./interfaces/IOrrangeEscrow.sol";
import {IOrrangeSettlement} from "./interfaces/IOrrangeSettlement.sol";
import {Checks} from "./libraries/Checks.sol";
import {Groups} from "./libraries/Groups.sol";
import {Sessions} from "./libraries/Sessions.sol";
import {Trades} from "./libraries/Trades.sol";
import {Cancels} from "./settlement/Cancels.sol";
import {Terms} from "./settlement/Terms.sol";
import {
    EscrowFunds,
    MarketId,
    Order,
    OrderId,
    Payment,
    Session,
    SettlementSettings,
    SkipReason,
    Standing,
    Ticket,
    TicketDigest,
    Trade,
    TradeDigests
} from "./types/OrrangeTypes.sol";

/// @title The settlement
/// @dev One trade, one pass: digests, checks, effects, then the vault. A group passes all checks of all its legs before
/// the first effect, each leg on top of what the legs before it draw. Who cannot keep what it signed is recorded.
contract OrrangeSettlement is Cancels {
    using BitMaps for BitMaps.BitMap;
    using Checks for Order;
    using Checks for Trade;
    using Sessions for Session;
    using Trades for Order;
    using Trades for Trade;

    /// @dev Who cannot keep a ticket that is good in every other way.
    struct Verdict {
        SkipReason reason;
        bool isMakerGuilty;
        bool isTakerGuilty;
    }

    uint256 private constant VICTIM_SHARE_BPS = 5_000;

    mapping(address session => BitMaps.BitMap) private _used;

    constructor(SettlementSettings memory settings) Terms(settings) {}

    /// @inheritdoc IOrrangeSettlement
    function settle(Trade[] calldata trades) external {
        Groups.Drawn memory nothing;
        for (uint256 i = 0; i < trades.length; ++i) {
            Trade calldata trade = trades[i];
            TradeDigests memory digests = _digests(trade);
            Verdict memory verdict = _check(trade, digests, nothing, false);
            if (verdict.reason == SkipReason.None) _complete(trade, digests);
            else _skip(trade, digests.ticket, verdict);
        }
    }

    /// @inheritdoc IOrrangeSettlement
    function settleGroup(Trade[] calldata legs) external {
        if (legs.length == 0 || legs.length > Groups.MAX_LEGS) revert GroupSize(legs.length, Groups.MAX_LEGS);
        TradeDigests[] memory digests = new TradeDigests[](legs.length);
        for (uint256 i = 0; i < legs.length; ++i) {
            digests[i] = _digests(legs[i]);
        }
        (uint256 index, Verdict memory verdict) = _checkGroup(legs, digests);
        if (verdict.reason != SkipReason.None) return _skip(legs[index], digests[index].ticket, verdict);
        for (uint256 i = 0; i < legs.length; ++i) {
            _complete(legs[i], digests[i]);
        }
    }

    /// @inheritdoc IOrrangeSettlement
    function isUsed(address session, uint64 ticketNonce) external view returns (bool) {
        return _used[session].get(ticketNonce);
    }

    /// @dev The form of the group, then each leg; the first failure names its leg and the reason.
    function _checkGroup(Trade[] calldata legs, TradeDigests[] memory digests)
        private
        view
        returns (uint256 index, Verdict memory verdict)
    {
        index = Groups.firstStranger(legs, digests);
        if (index < legs.length) return (index, _innocent(SkipReason.Grouped));
        if (!Groups.isWhole(legs) || !_isGroup(legs)) return (0, _innocent(SkipReason.Grouped));
        for (index = 0; index < legs.length; ++index) {
            verdict = _check(legs[index], digests[index], Groups.drawnBefore(legs, digests, index), true);
            if (verdict.reason != SkipReason.None) break;
        }
    }

    /// @dev Whether the legs hash to the group that they carry.
    function _isGroup(Trade[] calldata legs) private view returns (bool) {
        bytes32[] memory legDigests = new bytes32[](legs.length);
        for (uint256 i = 0; i < legs.length; ++i) {
            legDigests[i] = _ungroupedDigest(legs[i].ticket);
        }
        return Groups.digestOf(legDigests) == legs[0].ticket.group;
    }

    /// @dev The first check that fails names the reason. Later checks may rely on earlier ones. Those that name a culprit
    /// come last, so that a ticket that could never settle convicts nobody.
    function _check(Trade calldata trade, TradeDigests memory digests, Groups.Drawn memory drawn, bool isLeg)
        private
        view
        returns (Verdict memory)
    {
        (address base, address quote) = (trade.market.base, trade.market.quote);
        (address makerToken, address takerToken) = trade.makerSells() ? (base, quote) : (quote, base);
        (Standing memory maker, Standing memory taker) =
            VAULT.standings(digests.market, trade.maker.session, makerToken, trade.taker.session, takerToken);
        if (!_isSigned(trade, digests, maker.session, taker.session)) return _innocent(SkipReason.Signature);
        if (!trade.isMarket(digests.market)) return _innocent(SkipReason.Market);
        SkipReason late = _checkTimes(trade, digests, maker.session, taker.session);
        if (late != SkipReason.None) return _innocent(late);
        if (drawn.isNumberUsed || _used[trade.taker.session].get(trade.ticket.ticketNonce)) {
            return _innocent(SkipReason.Replay);
        }
        if (!trade.isWithinLimits()) return _innocent(SkipReason.Limits);
        if (!isLeg && trade.isGrouped()) return _innocent(SkipReason.Grouped);
        if (!trade.isKind() || isLeg && trade.isEscrow()) return _innocent(SkipReason.Kind);
        if (!trade.isRanged()) return _innocent(SkipReason.Overfill);
        return _checkMeans(trade, digests, drawn, maker, taker);
    }

    /// @dev Reasons 3, 12 and 4: everything lived when the epoch started, and the ticket lives now, not longer than `ticketLifeS`
    /// from then.
    function _checkTimes(
        Trade calldata trade,
        TradeDigests memory digests,
        Session memory makerSession,
        Session memory takerSession
    ) private view returns (SkipReason) {
        uint256 matched = _matchedTime(trade.ticket.epoch);
        uint256 deadline = trade.ticket.deadline;
        bool isValid = matched <= block.timestamp && trade.maker.isUnexpired(matched)
            && trade.taker.isUnexpired(matched) && makerSession.isAlive(matched, deadline, FUND_LAG_S, TICKET_LIFE_S)
            && takerSession.isAlive(matched, deadline, FUND_LAG_S, TICKET_LIFE_S);
        if (!isValid) return SkipReason.Validity;
        bool isCancelled = _isCancelled(trade.maker, _progress[digests.maker], matched, deadline)
            || _isCancelled(trade.taker, _progress[digests.taker], matched, deadline);
        if (isCancelled) return SkipReason.Cancelled;
        bool isInTime = deadline >= matched && deadline - matched <= TICKET_LIFE_S && block.timestamp <= deadline;
        return isInTime ? SkipReason.None : SkipReason.Deadline;
    }

    /// @dev Reasons 7, 11 and 8: each side has the lots, may spend the tokens, and has them in this market.
    function _checkMeans(
        Trade calldata trade,
        TradeDigests memory digests,
        Groups.Drawn memory drawn,
        Standing memory maker,
        Standing memory taker
    ) private view returns (Verdict memory verdict) {
        uint256 lots = trade.lots();
        (uint256 makerAmount, uint256 takerAmount) = trade.spends();
        (makerAmount, takerAmount) = (makerAmount + drawn.makerAmount, takerAmount + drawn.takerAmount);
        if (trade.isEscrow()) _weighBond(trade, digests.market, trade.makerSells() ? maker : taker);
        bool isMakerFilled = _progress[digests.maker].filledLots + drawn.makerLots + lots > trade.maker.quantityLots;
        bool isTakerFilled = _progress[digests.taker].filledLots + drawn.takerLots + lots > trade.taker.quantityLots;
        verdict.isMakerGuilty = isMakerFilled || maker.capLeft < makerAmount || maker.allocation < makerAmount;
        verdict.isTakerGuilty = isTakerFilled || taker.capLeft < takerAmount || taker.allocation < takerAmount;
        if (isMakerFilled || isTakerFilled) verdict.reason = SkipReason.Overfill;
        else if (maker.capLeft < makerAmount || taker.capLeft < takerAmount) verdict.reason = SkipReason.Cap;
        else if (verdict.isMakerGuilty || verdict.isTakerGuilty) verdict.reason = SkipReason.Funds;
    }

    /// @dev The seller of an escrow needs a bond in quote beside the base: without it, it has nothing or may spend nothing.
    function _weighBond(Trade calldata trade, MarketId market, Standing memory seller) private view {
        (Order calldata sell,) = trade.sellAndBuy();
        address quote = trade.market.quote;
        (Standing memory inQuote,) = VAULT.standings(market, sell.session, quote, sell.session, quote);
        uint256 bond = trade.bond();
        if (inQuote.capLeft < bond) seller.capLeft = 0;
        if (inQuote.allocation < bond) seller.allocation = 0;
    }

    /// @dev Effects before the vault moves money. The event follows the state it speaks of.
    function _complete(Trade calldata trade, TradeDigests memory digests) private {
        uint64 lots = trade.ticket.makerTo - trade.ticket.makerFrom;
        _used[trade.taker.session].set(trade.ticket.ticketNonce);
        _progress[digests.maker].filledLots += lots;
        _progress[digests.taker].filledLots += lots;
        if (trade.isEscrow()) _open(trade, digests);
        else _pay(trade, digests);
    }

    function _pay(Trade calldata trade, TradeDigests memory digests) private {
        Payment memory payment = _payment(trade, digests.market);
        _announce(trade, digests, payment.fee, _micros(payment.quote, payment.sinkFee));
        VAULT.move(payment);
    }

    function _announce(Trade calldata trade, TradeDigests memory digests, uint256 fee, uint256 sinkMicros) private {
        emit TradeCompleted(
            digests.ticket,
            trade.maker.owner,
            trade.taker.owner,
            digests.market,
            digests.maker,
            digests.taker,
            !trade.makerSells(),
            trade.ticket.priceTicks,
            trade.ticket.makerFrom,
            trade.ticket.makerTo,
            trade.ticket.takerFrom,
            trade.ticket.takerTo,
            fee,
            sinkMicros
        );
    }

    function _payment(Trade calldata trade, MarketId market) private view returns (Payment memory payment) {
        (Order calldata sell, Order calldata buy) = trade.sellAndBuy();
        payment.market = market;
        (payment.seller, payment.sellerSession) = (sell.owner, sell.session);
        (payment.buyer, payment.buyerSession) = (buy.owner, buy.session);
        (payment.base, payment.quote) = (trade.market.base, trade.market.quote);
        (payment.baseAmount, payment.quoteAmount) = trade.amounts();
        (payment.fee, payment.sinkFee) = _fee(payment.quoteAmount);
        (payment.submitter, payment.sink) = (msg.sender, SINK);
    }

    function _open(Trade calldata trade, TradeDigests memory digests) private {
        Ticket calldata ticket = trade.ticket;
        emit TradeCreated(
            digests.ticket,
            trade.maker.owner,
            trade.taker.owner,
            digests.market,
            digests.maker,
            digests.taker,
            !trade.makerSells(),
            ticket.priceTicks,
            ticket.makerFrom,
            ticket.makerTo,
            ticket.takerFrom,
            ticket.takerTo,
            ticket.security
        );
        OpenedTrade memory opened = _opened(trade, digests);
        (Order calldata sell, Order calldata buy) = trade.sellAndBuy();
        VAULT.lock(
            EscrowFunds({
                market: opened.market,
                seller: opened.seller,
                buyer: opened.buyer,
                sellerSession: sell.session,
                buyerSession: buy.session,
                base: opened.base,
                quote: opened.quote,
                baseAmount: opened.baseAmount,
                bondAmount: opened.bondAmount
            })
        );
        ESCROW.open(opened);
    }

    function _opened(Trade calldata trade, TradeDigests memory digests)
        private
        view
        returns (OpenedTrade memory opened)
    {
        (Order calldata sell, Order calldata buy) = trade.sellAndBuy();
        opened.ticket = digests.ticket;
        opened.market = digests.market;
        (opened.seller, opened.buyer) = (sell.owner, buy.owner);
        (opened.base, opened.quote) = (trade.market.base, trade.market.quote);
        (opened.baseAmount,) = trade.amounts();
        opened.bondAmount = trade.bond();
        opened.paymentMethod = trade.ticket.paymentMethod;
        opened.arbitrator = trade.ticket.arbitrator;
        opened.security = trade.ticket.security;
        opened.matchedAt = uint64(_matchedTime(trade.ticket.epoch));
    }

    /// @dev A guilty side is recorded and pays once for this ticket: its number is used. If both are guilty nobody is a victim.
    function _skip(Trade calldata trade, TicketDigest ticket, Verdict memory verdict) private {
        emit TradeSkipped(ticket, verdict.reason);
        if (!verdict.isMakerGuilty && !verdict.isTakerGuilty) return;
        _used[trade.taker.session].set(trade.ticket.ticketNonce);
        (address maker, address taker) = (trade.maker.owner, trade.taker.owner);
        if (verdict.isMakerGuilty) _record(trade, ticket, maker, verdict.isTakerGuilty ? address(0) : taker);
        if (verdict.isTakerGuilty) _record(trade, ticket, taker, verdict.isMakerGuilty ? address(0) : maker);
    }

    function _record(Trade calldata trade, TicketDigest ticket, address owner, address victim) private {
        uint256 due = _due(trade);
        emit Defaulted(ticket, owner, victim, due);
        VAULT.slash(owner, due, victim, victim == address(0) ? 0 : VICTIM_SHARE_BPS);
    }

    function _innocent(SkipReason reason) private pure returns (Verdict memory verdict) {
        verdict.reason = reason;
    }

    /// @dev Reason 1: who signed what, and whether the chain knows the sessions for it.
    function _isSigned(
        Trade calldata trade,
        TradeDigests memory digests,
        Session memory makerSession,
        Session memory takerSession
    ) private pure returns (bool) {
        Ticket calldata ticket = trade.ticket;
        bytes32 signed = TicketDigest.unwrap(digests.ticket);
        return trade.maker.owner != trade.taker.owner && ticket.makerOrder == digests.maker
            && ticket.takerOrder == digests.taker
            && _isOrderSigned(trade.maker, digests.maker, makerSession, trade.makerOrderSignature)
            && _isOrderSigned(trade.taker, digests.taker, takerSession, trade.takerOrderSignature)
            && _isTicketSigned(trade.maker, signed, makerSession, trade.makerTicketSignature)
            && _isTicketSigned(trade.taker, signed, takerSession, trade.takerTicketSignature);
    }

    function _isOrderSigned(Order calldata order, OrderId id, Session memory session, bytes calldata signature)
        private
        pure
        returns (bool)
    {
        (address signer, ECDSA.RecoverError error,) = ECDSA.tryRecover(OrderId.unwrap(id), signature);
        if (error != ECDSA.RecoverError.NoError) return false;
        if (signer == order.owner) return true;
        return signer == order.session && session.isAuthorised(order.owner, Sessions.SCOPE_TRADE);
    }

    function _isTicketSigned(Order calldata order, bytes32 digest, Session memory session, bytes calldata signature)
        private
        pure
        returns (bool)
    {
        (address signer, ECDSA.RecoverError error,) = ECDSA.tryRecover(digest, signature);
        return error == ECDSA.RecoverError.NoError && signer == order.session
            && session.isAuthorised(order.owner, Sessions.SCOPE_TICKET);
    }
}
