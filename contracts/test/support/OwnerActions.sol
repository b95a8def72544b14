// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {MarketId, Order, OrderId, TokenCap} from "../../src/types/OrrangeTypes.sol";
import {FeeToken} from "./Tokens.sol";
import {World} from "./World.sol";

/// @dev Whatever the vault and the settlement let owners, the escrow and the slasher do. Nothing here may revert.
abstract contract OwnerActions is World {
    Order[] internal _known; // orders seen in trades
    uint256 private _keyCount;

    function deposit(uint256 who, uint256 which, uint256 amount) public {
        (address owner, address token) = (_owner(who), _token(which));
        amount = bound(amount, 1, START / 20);
        if (amount > _balance(token, owner)) return;
        uint256 before = _balance(token, address(vault));
        vm.prank(owner);
        vault.deposit{value: token == NATIVE ? amount : 0}(token, amount);
        _free[owner][token] += _balance(token, address(vault)) - before;
    }

    function donate(uint256 who, uint256 which, uint256 amount) public {
        (address owner, address token) = (_owner(who), _token(which));
        amount = bound(amount, 1, START / 1000);
        if (token == NATIVE || amount > _balance(token, owner)) return;
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

    function bond(uint256 who, uint96 amount) public {
        address owner = _owner(who);
        uint256 most = _free[owner][address(base)] / UNIT;
        if (most == 0) return;
        amount = uint96(bound(amount, 1, most < 1e6 ? most : 1e6));
        vm.prank(owner);
        vault.bond(amount);
        _free[owner][address(base)] -= amount * UNIT;
        _bonds[owner].bonded += amount;
    }

    function requestUnbonding(uint256 who, uint96 amount) public {
        address owner = _owner(who);
        if (_bonds[owner].bonded == 0) return;
        amount = uint96(bound(amount, 1, _bonds[owner].bonded));
        vm.prank(owner);
        vault.requestUnbonding(amount);
        _bonds[owner].bonded -= amount;
        _bonds[owner].unbonding += amount;
    }

    function executeUnbonding(uint256 who) public {
        address owner = _owner(who);
        (,, uint64 availableAt) = vault.bondOf(owner);
        if (_bonds[owner].unbonding == 0) return;
        if (block.timestamp < availableAt) vm.warp(availableAt);
        vm.prank(owner);
        vault.executeUnbonding();
        _free[owner][address(base)] += _bonds[owner].unbonding * UNIT;
        _bonds[owner].unbonding = 0;
    }

    /// @dev A proof of the slasher contract's.
    function slash(uint256 who, uint256 due, uint256 whom, uint16 shareBps) public {
        (due, shareBps) = (bound(due, 0, 1e6), uint16(bound(shareBps, 0, 5_000)));
        vm.prank(slasher);
        vault.slash(_owner(who), due, _owner(whom), shareBps);
        _slashed(_owner(who), due, _owner(whom), shareBps);
    }

    /// @dev The end of some escrow.
    function release(uint256 which, uint256 whom, uint256 amount) public {
        address token = _token(which);
        amount = bound(amount, 0, _locked[token]);
        vm.prank(address(escrow));
        vault.release(token, _owner(whom), amount);
        _locked[token] -= amount;
        _free[_owner(whom)][token] += amount;
    }

    /// @dev From now on the owner's orders are of this session; caps are often too small.
    function renewSession(uint256 who, uint128 baseCap, uint128 quoteCap) public {
        Side storage side = _sides[who % OWNERS];
        side.session = makeAccount(string.concat("further session ", vm.toString(_keyCount++)));
        address key = side.session.addr;
        _keys[key] = side.session;
        vm.prank(side.owner.addr);
        if (baseCap % 4 == 0) return vault.authoriseSession(key, TICKET, uint64(block.timestamp) + 100_000);
        TokenCap[] memory caps = new TokenCap[](2);
        caps[0] = TokenCap(_tokens[0], uint128(bound(baseCap, 1, START / 20)));
        caps[1] = TokenCap(_tokens[quoteCap % 2 + 1], uint128(bound(quoteCap, 1, START / 20)));
        vault.authoriseCappedSession(key, TICKET, uint64(block.timestamp) + 100_000, caps);
        for (uint256 i = 0; i < caps.length; ++i) {
            _capLeft[key][caps[i].token] = uint256(caps[i].amount) + 1;
        }
    }

    function revoke(uint256 who) public {
        address key = _sides[who % OWNERS].session.addr;
        vm.prank(_owner(who));
        vault.revokeSession(key);
        _revokedAt[key] = block.timestamp;
        renewSession(who, 0, 0);
    }

    /// @dev The owner's present session and all that it had before; those revoked already keep their time.
    function revokeAll(uint256 who) public {
        vm.prank(_owner(who));
        vault.revokeAllSessions();
        for (uint256 i = 0; i < _known.length; ++i) {
            address key = _known[i].session;
            if (_known[i].owner == _owner(who) && _revokedAt[key] == 0) _revokedAt[key] = block.timestamp;
        }
        _revokedAt[_sides[who % OWNERS].session.addr] = block.timestamp;
        skip(1);
        renewSession(who, 0, 0);
    }

    function cancel(uint256 index) public {
        if (_known.length == 0) return;
        Order memory order = _known[index % _known.length];
        bytes32 id = OrderId.unwrap(settlement.orderId(order));
        if (_cancelledAt[id] != 0) return;
        vm.prank(order.owner);
        settlement.cancel(order);
        _cancelledAt[id] = block.timestamp;
    }

    function cancelUpTo(uint256 index) public {
        if (_known.length == 0) return;
        Order memory order = _known[index % _known.length];
        (, uint64 voidBelow, uint40 at) = settlement.floorOf(order.owner, order.session);
        if (order.nonce < voidBelow) return;
        if (at != 0 && at != block.timestamp) skip(FUND_LAG_S + TICKET_LIFE_S + 1);
        vm.prank(order.owner);
        settlement.cancelUpTo(order.session, order.nonce);
        _floors[order.session].push(Undone(order.nonce, block.timestamp));
    }

    function pass(uint256 time) public {
        skip(bound(time, 1, 50));
    }
}
