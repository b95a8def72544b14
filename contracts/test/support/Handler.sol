// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {IOrrangeSettlement} from "../../src/interfaces/IOrrangeSettlement.sol";
import {MarketId, Order, OrderId, SkipReason, Trade} from "../../src/types/OrrangeTypes.sol";
import {OwnerActions} from "./OwnerActions.sol";

/// @dev What anybody submits, beside what owners do. Nothing here may revert.
contract Handler is OwnerActions {
    Trade[] private _trades; // submitted before, settled or not
    Trade[][] private _groups; // the same
    uint256 public completed;
    uint256 public opened;
    uint256 public skipped;
    uint256 public defaulted;
    uint256 public groupsCompleted;
    uint256 public groupsSkipped;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < OWNERS; ++i) {
            for (uint256 j = 0; j < 6; ++j) {
                deposit(i, j % 3, START / 20);
                allocate(i, j / 3, j % 3, START / 40);
            }
            bond(i, 1000);
        }
    }

    function settleNew(uint256 first, uint256 second, uint256 where, uint64 price, uint64 lots, uint8 how) public {
        first %= OWNERS;
        Side memory makerSide = _sides[first];
        Side memory takerSide = _sides[second % 16 == 0 ? first : (first + 1 + second % 2) % OWNERS];
        bool makerSells = how & 1 == 0;
        market = _markets[where % MARKETS];
        marketId = settlement.marketId(market);
        Trade memory trade = newTrade();
        trade.maker = newOrder(makerSide, makerSells ? SELL : BUY);
        trade.taker = newOrder(takerSide, makerSells ? BUY : SELL);
        trade.maker.expiry = trade.taker.expiry = 0;
        lots = uint64(bound(lots, 1, how & 2 == 0 ? 1e5 : 1e7));
        price = uint64(bound(price, 1, 1e14));
        trade.maker.quantityLots = trade.taker.quantityLots = 2 * lots;
        trade.maker.priceTicks = trade.taker.priceTicks = trade.ticket.priceTicks = price;
        trade.ticket.makerTo = trade.ticket.takerTo = lots;
        if (how & 12 == 0) toEscrow(trade, how / 16 % 3 + 1);
        _stamp(trade);
        signAs(trade, makerSide, takerSide);
        _submit(trade);
    }

    /// @dev Another ticket for orders seen before, over any of their lots, at times with a used number.
    function settleAgain(uint256 index, uint64 from, uint64 lots, uint64 nonce) public {
        if (_trades.length == 0) return;
        Trade memory trade = _trades[index % _trades.length];
        uint64 quantity = trade.maker.quantityLots;
        from = uint64(bound(from, 0, quantity - 1));
        lots = uint64(bound(lots, 1, quantity));
        (trade.ticket.makerFrom, trade.ticket.makerTo) = (from, from + lots);
        (trade.ticket.takerFrom, trade.ticket.takerTo) = (from, from + lots);
        trade.ticket.ticketNonce = nonce % 4 == 0 ? trade.ticket.ticketNonce : nonce;
        _stamp(trade);
        signAs(trade, _sideOf(trade.maker), _sideOf(trade.taker));
        _submit(trade);
    }

    /// @dev A fill-or-kill order against one to three of two owners' orders, at times for more than an owner has.
    function settleGroup(uint256 first, uint256 count, uint256 where, uint64 price, uint64 lots, bool makersSell)
        public
    {
        market = _markets[where % MARKETS];
        marketId = settlement.marketId(market);
        lots = uint64(bound(lots, 1, first % 4 == 0 ? 1e8 : 1e5));
        first %= OWNERS;
        Side memory takerSide = _sides[first];
        price = uint64(bound(price, 1, 1e14));
        Side[] memory makers = new Side[](count % 3 + 1);
        for (uint256 i = 0; i < makers.length; ++i) {
            makers[i] = _sides[(first + 1 + (count >> i) % 2) % OWNERS];
        }
        Trade[] memory legs = newGroup(makers);
        Order memory order = newOrder(takerSide, makersSell ? BUY : SELL);
        (order.tif, order.priceTicks, order.quantityLots) = (FOK, price, lots * uint64(makers.length));
        order.expiry = uint64(block.timestamp) + 1;
        for (uint64 i = 0; i < legs.length; ++i) {
            legs[i].taker = order;
            (legs[i].maker.side, legs[i].maker.expiry) = (makersSell ? SELL : BUY, 0);
            (legs[i].maker.priceTicks, legs[i].maker.quantityLots) = (price, lots);
            (legs[i].ticket.priceTicks, legs[i].ticket.makerTo) = (price, lots);
            (legs[i].ticket.takerFrom, legs[i].ticket.takerTo) = (i * lots, (i + 1) * lots);
            _stamp(legs[i]);
        }
        signGroup(legs, makers, takerSide);
        _submitGroup(legs);
        _groups.push();
        for (uint256 i = 0; i < legs.length; ++i) {
            _groups[_groups.length - 1].push(legs[i]);
        }
    }

    /// @dev A group again, whole or without its first leg, or a leg on its own.
    function replayGroup(uint256 index, uint256 how) public {
        if (_groups.length == 0) return;
        Trade[] memory legs = _groups[index % _groups.length];
        if (how % 3 == 0 || legs.length == 1) return _submit(legs[0]);
        if (how % 3 == 1) return _submitGroup(legs);
        Trade[] memory rest = new Trade[](legs.length - 1);
        for (uint256 i = 0; i < rest.length; ++i) {
            rest[i] = legs[i + 1];
        }
        _submitGroup(rest);
    }

    function replay(uint256 index) public {
        if (_trades.length != 0) _submit(_trades[index % _trades.length]);
    }

    function _submit(Trade memory trade) private {
        _trades.push(trade);
        Trade[] memory one = new Trade[](1);
        one[0] = trade;
        SkipReason reason = outcome(trade);
        if (reason != SkipReason.None) {
            skipped += 1;
            return _judge(one, trade);
        }
        if (trade.ticket.kind == 1) opened += 1;
        else completed += 1;
        _complete(trade);
    }

    /// @dev S10: each leg completes, or there is the one skip that says why none does.
    function _submitGroup(Trade[] memory legs) private {
        (SkipReason reason, bytes32 ticket) = groupOutcome(legs);
        if (reason != SkipReason.None) {
            groupsSkipped += 1;
            for (uint256 i = 0; i < legs.length; ++i) {
                if (ticketDigest(legs[i]) == ticket) return _judge(legs, legs[i]);
            }
            revert("a skip of another ticket");
        }
        assertEq(settlement.filledLots(legs[0].ticket.takerOrder), legs[0].taker.quantityLots);
        groupsCompleted += 1;
        for (uint256 i = 0; i < legs.length; ++i) {
            _complete(legs[i]);
        }
    }

    /// @dev S8: whoever was recorded as defaulting really cannot keep what all of these tickets ask of it.
    function _judge(Trade[] memory legs, Trade memory named) private {
        for (uint256 i = 0; i < guilty.length; ++i) {
            defaulted += 1;
            assertTrue(_lacks(legs, guilty[i]), "an honest side was recorded as defaulting");
            address other = guilty[i] == named.maker.owner ? named.taker.owner : named.maker.owner;
            _slashed(guilty[i], PENALTY, guilty.length == 1 ? other : address(0), guilty.length == 1 ? 5_000 : 0);
        }
    }

    function _lacks(Trade[] memory legs, address owner) private view returns (bool) {
        uint256[3] memory needs; // by index of token
        address session;
        for (uint256 i = 0; i < legs.length; ++i) {
            Trade memory leg = legs[i];
            if (leg.maker.owner != owner && leg.taker.owner != owner) continue;
            Order memory order = leg.maker.owner == owner ? leg.maker : leg.taker;
            bytes32 id = OrderId.unwrap(leg.maker.owner == owner ? leg.ticket.makerOrder : leg.ticket.takerOrder);
            session = order.session;
            uint256 lots;
            for (uint256 j = 0; j < legs.length; ++j) {
                bool isSame =
                    legs[j].ticket.makerOrder == OrderId.wrap(id) || legs[j].ticket.takerOrder == OrderId.wrap(id);
                if (isSame) lots += legs[j].ticket.makerTo - legs[j].ticket.makerFrom;
            }
            if (_filled[id] + lots > order.quantityLots) return true;
            _addNeeds(needs, leg, order.side == SELL);
        }
        MarketId id_ = legs[0].maker.market;
        for (uint256 i = 0; i < _tokens.length; ++i) {
            uint256 left = _capLeft[session][_tokens[i]];
            if (left != 0 && left - 1 < needs[i]) return true;
            if (_allocated[owner][id_][_tokens[i]] < needs[i]) return true;
        }
        return false;
    }

    function _addNeeds(uint256[3] memory needs, Trade memory trade, bool sells) private pure {
        (uint256 baseAmount, uint256 price, uint256 bond_) = _amounts(trade);
        uint256 quoteIndex = trade.market.quote == NATIVE ? 2 : 1;
        if (sells) needs[0] += baseAmount;
        if (trade.ticket.kind == 1) needs[quoteIndex] += bond_;
        else if (!sells) needs[quoteIndex] += price;
    }

    function _amounts(Trade memory trade) private pure returns (uint256 baseAmount, uint256 price, uint256 bond_) {
        uint256 lots = trade.ticket.makerTo - trade.ticket.makerFrom;
        baseAmount = lots * trade.market.lotSize;
        price = lots * trade.market.tickSize * trade.ticket.priceTicks;
        bond_ = bondOf(price, trade.ticket.security);
    }

    function _complete(Trade memory trade) private {
        assertEq(guilty.length, 0);
        bytes32 ticket = ticketDigest(trade);
        _tickets.push(ticket);
        _completions[ticket] += 1;
        _assertTimely(trade);
        uint256 lots = trade.ticket.makerTo - trade.ticket.makerFrom;
        _count(OrderId.unwrap(trade.ticket.makerOrder), trade.maker, lots);
        _count(OrderId.unwrap(trade.ticket.takerOrder), trade.taker, lots);
        bool makerSells = trade.maker.side == SELL;
        _book(trade, makerSells ? trade.maker : trade.taker, makerSells ? trade.taker : trade.maker);
    }

    function _book(Trade memory trade, Order memory sell, Order memory buy) private {
        (uint256 baseAmount, uint256 price, uint256 bond_) = _amounts(trade);
        MarketId id = trade.maker.market;
        (address token, address paid) = (trade.market.base, trade.market.quote);
        _spend(id, token, sell, baseAmount);
        if (trade.ticket.kind == 1) {
            _spend(id, paid, sell, bond_);
            _spend(id, paid, buy, bond_);
            _locked[token] += baseAmount;
            _locked[paid] += 2 * bond_;
            return;
        }
        uint256 fee = (price * FEE_PPM) / 1e6;
        uint256 sinkFee = (fee * SINK_SHARE_PPM) / 1e6;
        _spend(id, paid, buy, price);
        _allocated[buy.owner][id][token] += baseAmount;
        _allocated[sell.owner][id][paid] += price - fee;
        _free[address(this)][paid] += fee - sinkFee;
        _free[sink][paid] += sinkFee;
    }

    function _spend(MarketId id, address token, Order memory order, uint256 amount) private {
        _allocated[order.owner][id][token] -= amount;
        if (_capLeft[order.session][token] != 0) _capLeft[order.session][token] -= amount;
    }

    function _count(bytes32 id, Order memory order, uint256 lots) private {
        if (_quantity[id] == 0) {
            _orders.push(id);
            _known.push(order);
        }
        _quantity[id] = order.quantityLots;
        _filled[id] += lots;
    }

    /// @dev The last epoch that has started.
    function _stamp(Trade memory trade) private view {
        trade.ticket.epoch = uint64((block.timestamp * 1000 - GENESIS_MS) / EPOCH_MS);
        trade.ticket.deadline = uint64((GENESIS_MS + trade.ticket.epoch * EPOCH_MS) / 1000) + TICKET_LIFE_S;
    }
}
