// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";

import {IOrrangeSettlement} from "./interfaces/IOrrangeSettlement.sol";
import {IOrrangeVault} from "./interfaces/IOrrangeVault.sol";
import {Sessions} from "./libraries/Sessions.sol";
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
    Trade
} from "./types/OrrangeTypes.sol";

/// @title The settlement
/// @dev One trade, one pass: digests, then checks in the order of their reason numbers, then effects, then the vault.
/// Checks compute in uint256, where no product or sum of the fields can overflow (64 + 96 + 64 bits at most).
contract OrrangeSettlement is IOrrangeSettlement, EIP712 {
    using BitMaps for BitMaps.BitMap;
    using Sessions for Session;

    uint8 private constant SIDE_BUY = 0;
    uint8 private constant SIDE_SELL = 1;
    uint8 private constant ORDER_KIND_LIMIT = 0;
    uint8 private constant TICKET_KIND_ATOMIC = 0;
    uint8 private constant TIF_IOC = 1; // GTC is 0; later ones are not settled yet

    /// @dev What a trade's structs hash to, computed once.
    struct Digests {
        MarketId market;
        OrderId maker;
        OrderId taker;
        TicketDigest ticket;
    }

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
        Digests memory digests = Digests({
            market: marketId(trade.market),
            maker: orderId(trade.maker),
            taker: orderId(trade.taker),
            ticket: ticketDigest(trade.ticket)
        });
        SkipReason reason = _check(trade, digests);
        if (reason != SkipReason.None) {
            emit TradeSkipped(digests.ticket, reason);
            return;
        }
        _complete(trade, digests);
    }

    /// @dev The first check that fails names the reason. Later checks may rely on earlier ones.
    function _check(Trade calldata trade, Digests memory digests) private view returns (SkipReason) {
        Session memory makerSession = VAULT.session(trade.maker.session);
        Session memory takerSession = VAULT.session(trade.taker.session);
        uint256 matched = _matchedTime(trade.ticket.epoch);
        if (!_isSigned(trade, digests, makerSession, takerSession)) return SkipReason.Signature;
        if (!_isMarket(trade, digests.market)) return SkipReason.Market;
        if (matched > block.timestamp) return SkipReason.Validity;
        if (!_isValid(trade.maker, makerSession, matched, trade.ticket.deadline)) return SkipReason.Validity;
        if (!_isValid(trade.taker, takerSession, matched, trade.ticket.deadline)) return SkipReason.Validity;
        if (!_isInTime(trade.ticket.deadline, matched)) return SkipReason.Deadline;
        if (_used[trade.taker.session].get(trade.ticket.ticketNonce)) return SkipReason.Replay;
        if (!_isWithinLimits(trade)) return SkipReason.Limits;
        if (!_isFillable(trade, digests)) return SkipReason.Overfill;
        if (!_isFunded(trade, digests.market)) return SkipReason.Funds;
        if (trade.ticket.group != bytes32(0)) return SkipReason.Grouped;
        if (!_isAtomic(trade)) return SkipReason.Kind;
        return SkipReason.None;
    }

    /// @dev Effects before the vault moves money. The event follows the state it speaks of.
    function _complete(Trade calldata trade, Digests memory digests) private {
        Ticket calldata ticket = trade.ticket;
        uint256 lots = ticket.makerTo - ticket.makerFrom;
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
            trade.maker.side == SIDE_BUY,
            ticket.priceTicks,
            ticket.makerFrom,
            ticket.makerTo,
            ticket.takerFrom,
            ticket.takerTo
        );
        _pay(trade, digests.market);
    }

    function _pay(Trade calldata trade, MarketId market) private {
        (address seller, address buyer) = _parties(trade);
        (uint256 baseAmount, uint256 quoteAmount) = _amounts(trade);
        VAULT.move(market, seller, buyer, trade.market.base, trade.market.quote, baseAmount, quoteAmount);
    }

    /// @dev Reason 1: who signed what, and whether the chain knows the sessions for it.
    function _isSigned(
        Trade calldata trade,
        Digests memory digests,
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

    /// @dev Reason 3: the order and its session lived when the epoch started.
    function _isValid(Order calldata order, Session memory session, uint256 matched, uint256 deadline)
        private
        view
        returns (bool)
    {
        if (order.expiry != 0 && order.expiry <= matched) return false;
        return session.isAlive(matched, deadline, FUND_LAG_S, TICKET_LIFE_S);
    }

    /// @dev Reason 4: a ticket lives at most `ticketLifeS` from its matched time, and lives now.
    function _isInTime(uint256 deadline, uint256 matched) private view returns (bool) {
        return deadline >= matched && deadline - matched <= TICKET_LIFE_S && block.timestamp <= deadline;
    }

    /// @dev Reason 6: opposite sides, each limit kept, no order below the market's minimum.
    function _isWithinLimits(Trade calldata trade) private pure returns (bool) {
        (Order calldata maker, Order calldata taker) = (trade.maker, trade.taker);
        if (maker.side > SIDE_SELL || taker.side > SIDE_SELL || maker.side == taker.side) return false;
        if (maker.quantityLots < trade.market.minFillLots || taker.quantityLots < trade.market.minFillLots) {
            return false;
        }
        (Order calldata buy, Order calldata sell) = maker.side == SIDE_BUY ? (maker, taker) : (taker, maker);
        uint64 price = trade.ticket.priceTicks;
        return sell.priceTicks >= 1 && sell.priceTicks <= price && price <= buy.priceTicks;
    }

    /// @dev Reason 7: two ranges of one length inside the orders, and not more in all than the orders offer.
    function _isFillable(Trade calldata trade, Digests memory digests) private view returns (bool) {
        Ticket calldata ticket = trade.ticket;
        if (ticket.makerTo <= ticket.makerFrom || ticket.takerTo <= ticket.takerFrom) return false;
        uint256 lots = ticket.makerTo - ticket.makerFrom;
        if (ticket.takerTo - ticket.takerFrom != lots) return false;
        if (ticket.makerTo > trade.maker.quantityLots || ticket.takerTo > trade.taker.quantityLots) return false;
        return _filled[digests.maker] + lots <= trade.maker.quantityLots
            && _filled[digests.taker] + lots <= trade.taker.quantityLots;
    }

    /// @dev Reason 8: both sides can pay from what they allocated to this market.
    function _isFunded(Trade calldata trade, MarketId market) private view returns (bool) {
        (address seller, address buyer) = _parties(trade);
        (uint256 baseAmount, uint256 quoteAmount) = _amounts(trade);
        return VAULT.allocation(seller, market, trade.market.base) >= baseAmount
            && VAULT.allocation(buyer, market, trade.market.quote) >= quoteAmount;
    }

    /// @dev Reason 10: only limit orders paid from the vault, good till cancelled or immediate.
    function _isAtomic(Trade calldata trade) private pure returns (bool) {
        return trade.ticket.kind == TICKET_KIND_ATOMIC && _isPlain(trade.maker) && _isPlain(trade.taker);
    }

    function _isPlain(Order calldata order) private pure returns (bool) {
        return order.kind == ORDER_KIND_LIMIT && order.tif <= TIF_IOC && order.paymentMethods.length == 0;
    }

    function _parties(Trade calldata trade) private pure returns (address seller, address buyer) {
        (address maker, address taker) = (trade.maker.owner, trade.taker.owner);
        return trade.maker.side == SIDE_SELL ? (maker, taker) : (taker, maker);
    }

    /// @dev Exact: nothing is rounded.
    function _amounts(Trade calldata trade) private pure returns (uint256 baseAmount, uint256 quoteAmount) {
        uint256 lots = trade.ticket.makerTo - trade.ticket.makerFrom;
        baseAmount = lots * trade.market.lotSize;
        quoteAmount = uint256(trade.ticket.priceTicks) * trade.market.tickSize * lots;
    }

    /// @dev The start of an epoch in unix seconds, rounded down.
    function _matchedTime(uint256 epoch) private view returns (uint256) {
        return (GENESIS_MS + epoch * EPOCH_MS) / 1000;
    }
}
