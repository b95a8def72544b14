// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {
    Market,
    MarketId,
    Order,
    OrderId,
    SettlementSettings,
    Trade,
    VaultSettings
} from "../../src/types/OrrangeTypes.sol";
import {Fixture} from "./Fixture.sol";
import {FeeToken} from "./Tokens.sol";

/// @dev Three owners, two markets of a plain token against a fee-taking one and against the native coin, and books of all that
/// there is, kept from own arithmetic and the events, to compare with the chain's.
abstract contract World is Fixture {
    struct Bond {
        uint256 bonded;
        uint256 unbonding;
    }

    /// @dev What an owner undid: every nonce up to `nonce` of a session, at `at`.
    struct Undone {
        uint64 nonce;
        uint256 at;
    }

    uint256 internal constant OWNERS = 3;
    uint256 internal constant MARKETS = 2;
    uint256 internal constant START = 1e24;
    uint256 internal constant UNIT = 1000;
    uint32 internal constant FEE_PPM = 3_000;
    uint32 internal constant SINK_SHARE_PPM = 400_000;
    address internal constant NATIVE = address(0);

    Side[] internal _sides;
    Market[] internal _markets;
    address[] internal _tokens;

    mapping(address owner => mapping(address token => uint256)) internal _free;
    mapping(address owner => mapping(MarketId market => mapping(address token => uint256))) internal _allocated;
    mapping(address owner => Bond) internal _bonds;
    mapping(address token => uint256) internal _locked;
    mapping(bytes32 order => uint256) internal _filled;
    mapping(bytes32 order => uint256) internal _quantity;
    mapping(bytes32 ticket => uint256) internal _completions;
    mapping(bytes32 order => uint256) internal _cancelledAt;
    mapping(address session => uint256) internal _revokedAt;
    mapping(address session => Undone[]) internal _floors;
    mapping(address session => Account) internal _keys;
    mapping(address session => mapping(address token => uint256)) internal _capLeft; // one more than is left; zero for no cap
    bytes32[] internal _orders;
    bytes32[] internal _tickets;

    function setUp() public virtual override {
        super.setUp();
        FeeToken fee = new FeeToken();
        _tokens = [address(base), address(fee), NATIVE];
        _markets.push(Market(address(base), address(fee), 1e15, 7, 1));
        _markets.push(Market(address(base), NATIVE, 1e15 + 1, 7, 1));
        for (uint256 i = 0; i < OWNERS; ++i) {
            _sides.push(newSide(vm.toString(i)));
            _keys[_sides[i].session.addr] = _sides[i].session;
            address owner = _sides[i].owner.addr;
            base.mint(owner, START);
            fee.mint(owner, START);
            vm.deal(owner, START);
            vm.startPrank(owner);
            base.approve(address(vault), type(uint256).max);
            fee.approve(address(vault), type(uint256).max);
            vm.stopPrank();
        }
    }

    function vaultSettings(address settlement_) internal view override returns (VaultSettings memory settings) {
        settings = super.vaultSettings(settlement_);
        (settings.bondToken, settings.bondUnit) = (address(base), uint128(UNIT));
    }

    function settlementSettings(address vault_) internal view override returns (SettlementSettings memory settings) {
        settings = super.settlementSettings(vault_);
        (settings.feePpm, settings.sinkSharePpm) = (FEE_PPM, SINK_SHARE_PPM);
    }

    // what must hold

    function assertSolvent() external view {
        for (uint256 i = 0; i < _tokens.length; ++i) {
            address token = _tokens[i];
            uint256 owed = vault.freeBalance(address(this), token) + vault.freeBalance(sink, token);
            owed += vault.lockedBalance(token);
            for (uint256 j = 0; j < OWNERS; ++j) {
                owed += vault.freeBalance(_owner(j), token);
                (uint256 bonded, uint256 unbonding,) = vault.bondOf(_owner(j));
                if (token == address(base)) owed += (bonded + unbonding) * UNIT;
                for (uint256 k = 0; k < MARKETS; ++k) {
                    owed += vault.allocation(_owner(j), _market(k), token);
                }
            }
            if (i == 0) owed += BASE_FUNDS; // of the fixture's own maker
            assertEq(vault.custody(token), owed, "custody is the sum of all balances");
            assertGe(_balance(token, address(vault)), owed, "the vault holds what it owes");
        }
    }

    function assertBooksAgree() external view {
        for (uint256 i = 0; i < _tokens.length; ++i) {
            address token = _tokens[i];
            assertEq(vault.lockedBalance(token), _locked[token]);
            assertEq(vault.freeBalance(address(this), token), _free[address(this)][token]);
            assertEq(vault.freeBalance(sink, token), _free[sink][token]);
            for (uint256 j = 0; j < OWNERS; ++j) {
                assertEq(vault.freeBalance(_owner(j), token), _free[_owner(j)][token]);
                for (uint256 k = 0; k < MARKETS; ++k) {
                    assertEq(vault.allocation(_owner(j), _market(k), token), _allocated[_owner(j)][_market(k)][token]);
                }
            }
        }
        for (uint256 i = 0; i < OWNERS; ++i) {
            (uint256 bonded, uint256 unbonding,) = vault.bondOf(_owner(i));
            assertEq(bonded, _bonds[_owner(i)].bonded);
            assertEq(unbonding, _bonds[_owner(i)].unbonding);
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

    /// @dev S3, of a trade that settled: nothing was undone so long before, and both orders lived when matched.
    function _assertTimely(Trade memory trade) internal view {
        uint256 matched = (GENESIS_MS + trade.ticket.epoch * EPOCH_MS) / 1000;
        _assertCovered(trade.maker, OrderId.unwrap(trade.ticket.makerOrder), matched, trade.ticket.deadline);
        _assertCovered(trade.taker, OrderId.unwrap(trade.ticket.takerOrder), matched, trade.ticket.deadline);
    }

    function _assertCovered(Order memory order, bytes32 id, uint256 matched, uint256 deadline) private view {
        assertTrue(order.expiry == 0 || order.expiry > matched, "matched after its expiry");
        if (_cancelledAt[id] != 0) _assertBefore(_cancelledAt[id], matched, deadline);
        if (_revokedAt[order.session] != 0) _assertBefore(_revokedAt[order.session], matched, deadline);
        Undone[] storage floors = _floors[order.session];
        for (uint256 i = 0; i < floors.length; ++i) {
            if (order.nonce <= floors[i].nonce) _assertBefore(floors[i].at, matched, deadline);
        }
    }

    function _assertBefore(uint256 at, uint256 matched, uint256 deadline) private pure {
        assertLe(matched, at + FUND_LAG_S, "matched after it was undone");
        assertLe(deadline, at + FUND_LAG_S + TICKET_LIFE_S, "alive too long after it was undone");
    }

    function _owner(uint256 index) internal view returns (address) {
        return _sides[index % OWNERS].owner.addr;
    }

    function _token(uint256 index) internal view returns (address) {
        return _tokens[index % _tokens.length];
    }

    function _market(uint256 index) internal view returns (MarketId) {
        return settlement.marketId(_markets[index % MARKETS]);
    }

    function _balance(address token, address owner) internal view returns (uint256) {
        return token == NATIVE ? owner.balance : FeeToken(token).balanceOf(owner);
    }

    /// @dev The owner with one of its sessions, the present one or an earlier one.
    function _sideOf(Order memory order) internal view returns (Side memory side) {
        for (uint256 i = 0; i < OWNERS; ++i) {
            if (_sides[i].owner.addr == order.owner) side.owner = _sides[i].owner;
        }
        side.session = _keys[order.session];
    }

    function _slashed(address owner, uint256 due, address beneficiary, uint256 shareBps) internal {
        Bond storage bond = _bonds[owner];
        uint256 fromBonded = due < bond.bonded ? due : bond.bonded;
        uint256 fromUnbonding = due - fromBonded < bond.unbonding ? due - fromBonded : bond.unbonding;
        bond.bonded -= fromBonded;
        bond.unbonding -= fromUnbonding;
        _free[beneficiary][address(base)] += (((fromBonded + fromUnbonding) * shareBps) / 10_000) * UNIT;
    }
}
