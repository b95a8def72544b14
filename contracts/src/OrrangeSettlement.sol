// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";

import {IOrrangeSettlement} from "./interfaces/IOrrangeSettlement.sol";
import {IOrrangeVault} from "./interfaces/IOrrangeVault.sol";
import {Groups} from "./libraries/Groups.sol";
import {Sessions} from "./libraries/Sessions.sol";
import {Trades} from "./libraries/Trades.sol";
import {TypedData} from "./libraries/TypedData.sol";
import {
    Market,
    MarketId,
    Order,
    OrderId,
    Session,
    SkipReason,
    Ticket,
    TicketDigest,
    Trade,
    TradeDigests
} from "./types/OrrangeTypes.sol";

/// @title The settlement
/// @dev One trade, one pass: digests, then checks in the order of their reason numbers, then effects, then the vault.
/// A group passes all checks of all its legs before the first effect, each leg on top of what the legs before it draw.
contract OrrangeSettlement is IOrrangeSettlement, EIP712 {
    using BitMaps for BitMaps.BitMap;
    using Sessions for Session;
    using Trades for Order;
    using Trades for Trade;

    uint8 private constant ORDER_KIND_LIMIT = 0;
    uint8 private constant ORDER_KIND_PROTECTED_MARKET = 1;
    uint8 private constant TICKET_KIND_ATOMIC = 0;

    IOrrangeVault private immutable VAULT;
    uint64 private immutable GENESIS_MS;
    uint64 private immutable EPOCH_MS;
    uint64 private immutable TICKET_LIFE_S;
    uint64 private immutable FUND_LAG_S;

    mapping(OrderId order => uint256 lots) private _filled;
    mapping(address session => BitMaps.BitMap) private _used;

    /// @param vault_ The vault, deployed before with this contract's address.
    /// @param genesisMs_ When epoch 0 starts, in unix milliseconds.
    /// @param epochMs_ Length of an epoch in milliseconds.
    /// @param ticketLifeS_ D, the longest life of a ticket in seconds.
    /// @param fundLagS_ L_fund in seconds.
    constructor(IOrrangeVault vault_, uint64 genesisMs_, uint64 epochMs_, uint64 ticketLifeS_, uint64 fundLagS_)
        EIP712("Orrange", "1")
    {
        if (epochMs_ == 0 || ticketLifeS_ == 0) revert ZeroDuration();
        if (vault_.settlement() != address(this)) revert ForeignVault(address(vault_), vault_.settlement());
        uint256 delay = vault_.deallocationDelay();
        uint256 reach = 2 * uint256(fundLagS_) + ticketLifeS_;
        if (delay <= reach) revert DeallocationDelayTooShort(delay, reach + 1);
        VAULT = vault_;
        GENESIS_MS = genesisMs_;
        EPOCH_MS = epochMs_;
        TICKET_LIFE_S = ticketLifeS_;
        FUND_LAG_S = fundLagS_;
    }

    /// @inheritdoc IOrrangeSettlement
    function settle(Trade[] calldata trades) external {
        for (uint256 i = 0; i < trades.length; ++i) {
            _settleOne(trades[i]);
        }
    }

    /// @inheritdoc IOrrangeSettlement
    function settleGroup(Trade[] calldata legs) external {
        if (legs.length == 0 || legs.length > Groups.MAX_LEGS) revert GroupSize(legs.length, Groups.MAX_LEGS);
        TradeDigests[] memory digests = new TradeDigests[](legs.length);
        for (uint256 i = 0; i < legs.length; ++i) {
            digests[i] = _digests(legs[i]);
        }
        (uint256 index, SkipReason reason) = _checkGroup(legs, digests);
        if (reason != SkipReason.None) {
            emit TradeSkipped(digests[index].ticket, reason);
            return;
        }
        for (uint256 i = 0; i < legs.length; ++i) {
            _complete(legs[i], digests[i]);
        }
    }

    /// @inheritdoc IOrrangeSettlement
    function filledLots(OrderId order) external view returns (uint256) {
        return _filled[order];
    }

    /// @inheritdoc IOrrangeSettlement
    function isUsed(address session, uint64 ticketNonce) external view returns (bool) {
        return _used[session].get(ticketNonce);
    }

    /// @inheritdoc IOrrangeSettlement
    function marketId(Market calldata market) public view returns (MarketId) {
        return MarketId.wrap(_hashTypedDataV4(TypedData.hash(market)));
    }

    /// @inheritdoc IOrrangeSettlement
    function orderId(Order calldata order) public view returns (OrderId) {
        return OrderId.wrap(_hashTypedDataV4(TypedData.hash(order)));
    }

    /// @inheritdoc IOrrangeSettlement
    function ticketDigest(Ticket calldata ticket) public view returns (TicketDigest) {
        return TicketDigest.wrap(_hashTypedDataV4(TypedData.hash(ticket)));
    }

    /// @inheritdoc IOrrangeSettlement
    function groupDigest(Ticket[] calldata tickets) external view returns (bytes32) {
        bytes32[] memory legDigests = new bytes32[](tickets.length);
        for (uint256 i = 0; i < tickets.length; ++i) {
            legDigests[i] = _ungroupedDigest(tickets[i]);
        }
        return Groups.digestOf(legDigests);
    }

    /// @inheritdoc IOrrangeSettlement
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @inheritdoc IOrrangeSettlement
    function vault() external view returns (IOrrangeVault) {
        return VAULT;
    }

    /// @inheritdoc IOrrangeSettlement
    function genesisMs() external view returns (uint64) {
        return GENESIS_MS;
    }

    /// @inheritdoc IOrrangeSettlement
    function epochMs() external view returns (uint64) {
        return EPOCH_MS;
    }

    /// @inheritdoc IOrrangeSettlement
    function ticketLifeS() external view returns (uint64) {
        return TICKET_LIFE_S;
    }

    /// @inheritdoc IOrrangeSettlement
    function fundLagS() external view returns (uint64) {
        return FUND_LAG_S;
    }

    function _settleOne(Trade calldata trade) private {
        TradeDigests memory digests = _digests(trade);
        Groups.Drawn memory nothing;
        SkipReason reason = _check(trade, digests, nothing, false);
        if (reason != SkipReason.None) {
            emit TradeSkipped(digests.ticket, reason);
            return;
        }
        _complete(trade, digests);
    }

    function _digests(Trade calldata trade) private view returns (TradeDigests memory) {
        return TradeDigests({
            market: marketId(trade.market),
            maker: orderId(trade.maker),
            taker: orderId(trade.taker),
            ticket: ticketDigest(trade.ticket)
        });
    }

    function _ungroupedDigest(Ticket calldata ticket) private view returns (bytes32) {
        return _hashTypedDataV4(TypedData.hashUngrouped(ticket));
    }

    /// @dev The form of the group, then each leg; the first failure names its leg and the reason.
    function _checkGroup(Trade[] calldata legs, TradeDigests[] memory digests)
        private
        view
        returns (uint256 index, SkipReason reason)
    {
        index = Groups.firstStranger(legs, digests);
        if (index < legs.length) return (index, SkipReason.Grouped);
        if (!Groups.isWhole(legs) || !_isGroup(legs)) return (0, SkipReason.Grouped);
        for (index = 0; index < legs.length; ++index) {
            reason = _check(legs[index], digests[index], Groups.drawnBefore(legs, digests, index), true);
            if (reason != SkipReason.None) break;
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

    /// @dev The first check that fails names the reason. Later checks may rely on earlier ones.
    function _check(Trade calldata trade, TradeDigests memory digests, Groups.Drawn memory drawn, bool isLeg)
        private
        view
        returns (SkipReason)
    {
        Session memory makerSession = VAULT.session(trade.maker.session);
        Session memory takerSession = VAULT.session(trade.taker.session);
        uint256 matched = _matchedTime(trade.ticket.epoch);
        if (!_isSigned(trade, digests, makerSession, takerSession)) return SkipReason.Signature;
        if (!_isMarket(trade, digests.market)) return SkipReason.Market;
        if (matched > block.timestamp) return SkipReason.Validity;
        if (!_isValid(trade.maker, makerSession, matched, trade.ticket.deadline)) return SkipReason.Validity;
        if (!_isValid(trade.taker, takerSession, matched, trade.ticket.deadline)) return SkipReason.Validity;
        if (!_isInTime(trade.ticket.deadline, matched)) return SkipReason.Deadline;
        if (drawn.isNumberUsed || _used[trade.taker.session].get(trade.ticket.ticketNonce)) return SkipReason.Replay;
        if (!_isWithinLimits(trade)) return SkipReason.Limits;
        if (!_isFillable(trade, digests, drawn)) return SkipReason.Overfill;
        if (!_isFunded(trade, digests.market, drawn)) return SkipReason.Funds;
        if (!isLeg && _isGrouped(trade)) return SkipReason.Grouped;
        if (!_isAtomic(trade)) return SkipReason.Kind;
        return SkipReason.None;
    }

    /// @dev Effects before the vault moves money. The event follows the state it speaks of.
    function _complete(Trade calldata trade, TradeDigests memory digests) private {
        Ticket calldata ticket = trade.ticket;
        uint256 lots = trade.lots();
        _used[trade.taker.session].set(ticket.ticketNonce);
        _filled[digests.maker] += lots;
        _filled[digests.taker] += lots;
        emit TradeCompleted(
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
            ticket.takerTo
        );
        _pay(trade, digests.market);
    }

    function _pay(Trade calldata trade, MarketId market) private {
        (address maker, address taker) = (trade.maker.owner, trade.taker.owner);
        (address seller, address buyer) = trade.makerSells() ? (maker, taker) : (taker, maker);
        (uint256 baseAmount, uint256 quoteAmount) = trade.amounts();
        VAULT.move(market, seller, buyer, trade.market.base, trade.market.quote, baseAmount, quoteAmount);
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

    /// @dev Reason 2: both orders name this market and its units make sense.
    function _isMarket(Trade calldata trade, MarketId id) private pure returns (bool) {
        Market calldata market = trade.market;
        return trade.maker.market == id && trade.taker.market == id && market.base != market.quote
            && market.lotSize != 0 && market.tickSize != 0;
    }

    /// @dev Reason 3: the order and its session lived when the epoch started. Only a GTC order may have no expiry: of any
    /// other the chain could not refuse a late ticket.
    function _isValid(Order calldata order, Session memory session, uint256 matched, uint256 deadline)
        private
        view
        returns (bool)
    {
        if (order.expiry == 0 ? order.tif != Trades.TIF_GTC : order.expiry <= matched) return false;
        return session.isAlive(matched, deadline, FUND_LAG_S, TICKET_LIFE_S);
    }

    /// @dev Reason 4: a ticket lives at most `ticketLifeS` from its matched time, and lives now.
    function _isInTime(uint256 deadline, uint256 matched) private view returns (bool) {
        return deadline >= matched && deadline - matched <= TICKET_LIFE_S && block.timestamp <= deadline;
    }

    /// @dev Reason 6: opposite sides, each limit kept, no order below the market's minimum.
    function _isWithinLimits(Trade calldata trade) private pure returns (bool) {
        (Order calldata maker, Order calldata taker) = (trade.maker, trade.taker);
        if (maker.side > Trades.SIDE_SELL || taker.side > Trades.SIDE_SELL || maker.side == taker.side) return false;
        if (maker.quantityLots < trade.market.minFillLots || taker.quantityLots < trade.market.minFillLots) {
            return false;
        }
        (Order calldata buy, Order calldata sell) = trade.makerSells() ? (taker, maker) : (maker, taker);
        uint64 price = trade.ticket.priceTicks;
        return sell.priceTicks >= 1 && sell.priceTicks <= price && price <= buy.priceTicks;
    }

    /// @dev Reason 7: two ranges of one length inside the orders, and not more in all than the orders offer.
    function _isFillable(Trade calldata trade, TradeDigests memory digests, Groups.Drawn memory drawn)
        private
        view
        returns (bool)
    {
        Ticket calldata ticket = trade.ticket;
        if (ticket.makerTo <= ticket.makerFrom || ticket.takerTo <= ticket.takerFrom) return false;
        uint256 lots = trade.lots();
        if (ticket.takerTo - ticket.takerFrom != lots) return false;
        if (ticket.makerTo > trade.maker.quantityLots || ticket.takerTo > trade.taker.quantityLots) return false;
        return _filled[digests.maker] + drawn.makerLots + lots <= trade.maker.quantityLots
            && _filled[digests.taker] + drawn.takerLots + lots <= trade.taker.quantityLots;
    }

    /// @dev Reason 8: both sides can pay from what they allocated to this market.
    function _isFunded(Trade calldata trade, MarketId market, Groups.Drawn memory drawn) private view returns (bool) {
        (address base, address quote) = (trade.market.base, trade.market.quote);
        (address makerToken, address takerToken) = trade.makerSells() ? (base, quote) : (quote, base);
        (uint256 makerAmount, uint256 takerAmount) = trade.spends();
        return VAULT.allocation(trade.maker.owner, market, makerToken) >= makerAmount + drawn.makerAmount
            && VAULT.allocation(trade.taker.owner, market, takerToken) >= takerAmount + drawn.takerAmount;
    }

    /// @dev Reason 9: what settles together with others only.
    function _isGrouped(Trade calldata trade) private pure returns (bool) {
        return trade.ticket.group != bytes32(0) || trade.maker.isFillOrKill() || trade.taker.isFillOrKill();
    }

    /// @dev Reason 10: orders paid from the vault, the maker's one that can rest. Post-only and tiers say who matches
    /// whom, which the two signatures have settled.
    function _isAtomic(Trade calldata trade) private pure returns (bool) {
        return trade.ticket.kind == TICKET_KIND_ATOMIC && _isPlain(trade.maker) && _isPlain(trade.taker)
            && !trade.maker.isImmediate();
    }

    function _isPlain(Order calldata order) private pure returns (bool) {
        bool isKnown =
            order.kind == ORDER_KIND_LIMIT || order.kind == ORDER_KIND_PROTECTED_MARKET && order.isImmediate();
        return isKnown && order.tif <= Trades.TIF_GTD && order.paymentMethods.length == 0
            && order.arbitrators.length == 0 && order.security == 0;
    }

    /// @dev The start of an epoch in unix seconds, rounded down.
    function _matchedTime(uint256 epoch) private view returns (uint256) {
        return (GENESIS_MS + epoch * EPOCH_MS) / 1000;
    }
}
