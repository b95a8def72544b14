// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {IOrrangeSettlement} from "../../src/interfaces/IOrrangeSettlement.sol";
import {Market, MarketId, Order, OrderId, Trade} from "../../src/types/OrrangeTypes.sol";
import {Fixture} from "./Fixture.sol";
import {FeeToken} from "./Tokens.sol";

/// @dev Three owners that do whatever the vault and the settlement allow, in two markets of a plain and a fee-taking token.
/// Nothing here may revert. It keeps its own books, from its own arithmetic and the events, to compare with the chain's.
contract Handler is Fixture {
    uint256 private constant OWNERS = 3;
    uint256 private constant MARKETS = 2;
    uint256 private constant START = 1e24;

    Side[] private _sides;
    Market[] private _markets;
    address[] private _tokens;
    Trade[] private _trades; // submitted before, settled or not
    Trade[][] private _groups; // the same

    mapping(address owner => mapping(address token => uint256)) private _free;
    mapping(address owner => mapping(MarketId market => mapping(address token => uint256))) private _allocated;
    mapping(bytes32 order => uint256) private _filled;
    mapping(bytes32 order => uint256) private _quantity;
    mapping(bytes32 ticket => uint256) private _completions;
    bytes32[] private _orders;
    bytes32[] private _tickets;
    uint256 public completed;
    uint256 public skipped;
    uint256 public groupsCompleted;
    uint256 public groupsSkipped;

    function setUp() public override {
        super.setUp();
        FeeToken fee = new FeeToken();
        _tokens = [address(base), address(fee)];
        for (uint256 i = 0; i < MARKETS; ++i) {
            _markets.push(Market(address(base), address(fee), uint96(1e15 + i), 7, 1));
        }
        for (uint256 i = 0; i < OWNERS; ++i) {
            _sides.push(newSide(vm.toString(i)));
            address owner = _sides[i].owner.addr;
            base.mint(owner, START);
            fee.mint(owner, START);
            vm.startPrank(owner);
            base.approve(address(vault), type(uint256).max);
            fee.approve(address(vault), type(uint256).max);
            vm.stopPrank();
            for (uint256 j = 0; j < 2 * MARKETS; ++j) {
                deposit(i, j, START / 20);
                allocate(i, j / 2, j, START / 40);
            }
        }
    }

    // what owners do

    function deposit(uint256 who, uint256 which, uint256 amount) public {
        (address owner, address token) = (_owner(who), _token(which));
        amount = bound(amount, 1, START / 20);
        if (amount > _balance(token, owner)) return;
        uint256 before = _balance(token, address(vault));
        vm.prank(owner);
        vault.deposit(token, amount);
        _free[owner][token] += _balance(token, address(vault)) - before;
    }

    function donate(uint256 who, uint256 which, uint256 amount) public {
        (address owner, address token) = (_owner(who), _token(which));
        amount = bound(amount, 1, START / 1000);
        if (amount > _balance(token, owner)) return;
        vm.prank(owner);
        FeeToken(token).transfer(address(vault), amount);
    }

    function withdraw(uint256 who, uint256 which, uint256 amount) public {
        (address owner, address token) = (_owner(who), _token(which));
        if (_free[owner][token] == 0) return;
        amount = bound(amount, 1, _free[owner][token]);
        vm.prank(owner);
        vault.withdraw(token, amount);
        _free[owner][token] -= amount;
    }

    function allocate(uint256 who, uint256 where, uint256 which, uint256 amount) public {
        (address owner, MarketId id, address token) = (_owner(who), _market(where), _token(which));
        if (_free[owner][token] == 0) return;
        amount = bound(amount, 1, _free[owner][token]);
        vm.prank(owner);
        vault.allocate(id, token, amount);
        _free[owner][token] -= amount;
        _allocated[owner][id][token] += amount;
    }

    function requestDeallocation(uint256 who, uint256 where, uint256 which, uint256 amount) public {
        (address owner, MarketId id, address token) = (_owner(who), _market(where), _token(which));
        (uint256 pending,) = vault.pendingDeallocation(owner, id, token);
        uint256 available = _allocated[owner][id][token] - pending;
        if (available == 0) return;
        vm.prank(owner);
        vault.requestDeallocation(id, token, bound(amount, 1, available));
    }

    function executeDeallocation(uint256 who, uint256 where, uint256 which) public {
        (address owner, MarketId id, address token) = (_owner(who), _market(where), _token(which));
        (uint256 pending, uint64 availableAt) = vault.pendingDeallocation(owner, id, token);
        if (availableAt == 0) return;
        if (block.timestamp < availableAt) vm.warp(availableAt);
        vm.prank(owner);
        vault.executeDeallocation(id, token);
        _allocated[owner][id][token] -= pending;
        _free[owner][token] += pending;
    }

    function pass(uint256 time) public {
        skip(bound(time, 1, 50));
    }

    // what anybody submits

    function settleNew(uint256 first, uint256 second, uint256 where, uint64 price, uint64 lots, bool makerSells)
        public
    {
        first %= OWNERS;
        Side memory makerSide = _sides[first];
        Side memory takerSide = _sides[second % 16 == 0 ? first : (first + 1 + second % 2) % OWNERS];
        market = _markets[where % MARKETS];
        marketId = settlement.marketId(market);
        Trade memory trade = newTrade();
        trade.maker = newOrder(makerSide, makerSells ? SELL : BUY);
        trade.taker = newOrder(takerSide, makerSells ? BUY : SELL);
        trade.maker.expiry = trade.taker.expiry = 0;
        lots = uint64(bound(lots, 1, 1e7));
        price = uint64(bound(price, 1, 1e14));
        trade.maker.quantityLots = trade.taker.quantityLots = 2 * lots;
        trade.maker.priceTicks = trade.taker.priceTicks = trade.ticket.priceTicks = price;
        trade.ticket.makerTo = trade.ticket.takerTo = lots;
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
        signAs(trade, _sideOf(trade.maker.owner), _sideOf(trade.taker.owner));
        _submit(trade);
    }

    /// @dev A fill-or-kill order against one to three of two owners' orders, at times for more than an owner has.
    function settleGroup(uint256 first, uint256 count, uint256 where, uint64 price, uint64 lots, bool makersSell)
        public
    {
        market = _markets[where % MARKETS];
        marketId = settlement.marketId(market);
        lots = uint64(bound(lots, 1, first % 4 == 0 ? 1e8 : 1e7));
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

    // what must hold

    function assertSolvent() external view {
        for (uint256 i = 0; i < _tokens.length; ++i) {
            uint256 owed;
            for (uint256 j = 0; j < OWNERS; ++j) {
                owed += vault.freeBalance(_owner(j), _tokens[i]);
                for (uint256 k = 0; k < MARKETS; ++k) {
                    owed += vault.allocation(_owner(j), _market(k), _tokens[i]);
                }
            }
            uint256 untracked = i == 0 ? BASE_FUNDS : 0; // of the fixture's own maker
            assertEq(vault.custody(_tokens[i]), owed + untracked, "custody is the sum of all balances");
            assertGe(_balance(_tokens[i], address(vault)), owed + untracked, "the vault holds what it owes");
        }
    }

    function assertBooksAgree() external view {
        for (uint256 i = 0; i < OWNERS * _tokens.length; ++i) {
            (address owner, address token) = (_owner(i), _tokens[i / OWNERS]);
            assertEq(vault.freeBalance(owner, token), _free[owner][token]);
            for (uint256 k = 0; k < MARKETS; ++k) {
                assertEq(vault.allocation(owner, _market(k), token), _allocated[owner][_market(k)][token]);
                (uint256 pending,) = vault.pendingDeallocation(owner, _market(k), token);
                assertLe(pending, _allocated[owner][_market(k)][token]);
            }
        }
    }

    function assertNothingOverfilled() external view {
        for (uint256 i = 0; i < _orders.length; ++i) {
            uint256 filled = settlement.filledLots(OrderId.wrap(_orders[i]));
            assertEq(filled, _filled[_orders[i]]);
            assertLe(filled, _quantity[_orders[i]]);
        }
    }

    function assertTicketsSettledOnce() external view {
        for (uint256 i = 0; i < _tickets.length; ++i) {
            assertLe(_completions[_tickets[i]], 1);
        }
    }

    function _submit(Trade memory trade) private {
        vm.recordLogs();
        settleOne(trade);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 1);
        _trades.push(trade);
        if (logs[0].topics[0] == IOrrangeSettlement.TradeSkipped.selector) {
            skipped += 1;
            return;
        }
        completed += 1;
        _complete(logs[0].topics[1], trade);
    }

    /// @dev S10: each leg completes, or there is the one event that says why none does.
    function _submitGroup(Trade[] memory legs) private {
        vm.recordLogs();
        settlement.settleGroup(legs);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        if (logs[0].topics[0] == IOrrangeSettlement.TradeSkipped.selector) {
            assertEq(logs.length, 1);
            groupsSkipped += 1;
            return;
        }
        assertEq(logs.length, legs.length);
        assertEq(settlement.filledLots(legs[0].ticket.takerOrder), legs[0].taker.quantityLots);
        groupsCompleted += 1;
        for (uint256 i = 0; i < legs.length; ++i) {
            _complete(logs[i].topics[1], legs[i]);
        }
    }

    function _complete(bytes32 ticket, Trade memory trade) private {
        _tickets.push(ticket);
        _completions[ticket] += 1;
        _book(trade);
    }

    function _book(Trade memory trade) private {
        uint256 lots = trade.ticket.makerTo - trade.ticket.makerFrom;
        _count(OrderId.unwrap(trade.ticket.makerOrder), trade.maker, lots);
        _count(OrderId.unwrap(trade.ticket.takerOrder), trade.taker, lots);
        bool makerSells = trade.maker.side == SELL;
        address seller = makerSells ? trade.maker.owner : trade.taker.owner;
        address buyer = makerSells ? trade.taker.owner : trade.maker.owner;
        MarketId id = trade.maker.market;
        uint256 baseAmount = lots * trade.market.lotSize;
        uint256 price = lots * trade.market.tickSize * trade.ticket.priceTicks;
        _allocated[seller][id][trade.market.base] -= baseAmount;
        _allocated[buyer][id][trade.market.base] += baseAmount;
        _allocated[buyer][id][trade.market.quote] -= price;
        _allocated[seller][id][trade.market.quote] += price;
    }

    function _count(bytes32 id, Order memory order, uint256 lots) private {
        if (_quantity[id] == 0) _orders.push(id);
        _quantity[id] = order.quantityLots;
        _filled[id] += lots;
    }

    /// @dev The last epoch that has started.
    function _stamp(Trade memory trade) private view {
        trade.ticket.epoch = uint64((block.timestamp * 1000 - GENESIS_MS) / EPOCH_MS);
        trade.ticket.deadline = uint64((GENESIS_MS + trade.ticket.epoch * EPOCH_MS) / 1000) + TICKET_LIFE_S;
    }

    function _sideOf(address owner) private view returns (Side memory) {
        for (uint256 i = 0; i < OWNERS; ++i) {
            if (_sides[i].owner.addr == owner) return _sides[i];
        }
        revert("unknown owner");
    }

    function _owner(uint256 index) private view returns (address) {
        return _sides[index % OWNERS].owner.addr;
    }

    function _token(uint256 index) private view returns (address) {
        return _tokens[index % _tokens.length];
    }

    function _market(uint256 index) private view returns (MarketId) {
        return settlement.marketId(_markets[index % MARKETS]);
    }

    function _balance(address token, address owner) private view returns (uint256) {
        return FeeToken(token).balanceOf(owner);
    }
}
