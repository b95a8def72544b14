// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {EscrowState, OpenedTrade} from "../../src/interfaces/IOrrangeEscrow.sol";
import {EscrowFixture} from "./EscrowFixture.sol";

/// @dev Anybody tries any step of any trade at any time. A step may be refused; one that succeeds must be a change of state
/// that the caller may make, and must pay out exactly what the trade had locked, or nothing.
contract EscrowHandler is EscrowFixture {
    address[6] private _callers;
    OpenedTrade[] private _trades;
    EscrowState[] private _states;
    uint256[] private _ends;
    uint256 public refusals;
    mapping(EscrowState state => uint256) public entered;

    constructor() {
        setUp();
        _callers = [seller, buyer, arbitrator, stranger, sellerSession, buyerSession];
    }

    function start(uint256 baseAmount, uint256 bondAmount) external {
        OpenedTrade memory trade = newTrade();
        trade.baseAmount = bound(baseAmount, 1, type(uint160).max);
        trade.bondAmount = bound(bondAmount, 0, type(uint96).max);
        openWith(trade);
        _trades.push(trade);
        _states.push(EscrowState.Open);
        _ends.push(0);
    }

    function markPaid(uint256 index, uint256 who) external {
        _step(index, who, abi.encodeCall(escrow.markPaid, (_trade(index))));
    }

    function release(uint256 index, uint256 who) external {
        _step(index, who, abi.encodeCall(escrow.release, (_trade(index))));
    }

    function cancel(uint256 index, uint256 who) external {
        _step(index, who, abi.encodeCall(escrow.cancel, (_trade(index))));
    }

    function dispute(uint256 index, uint256 who) external {
        _step(index, who, abi.encodeCall(escrow.dispute, (_trade(index))));
    }

    function resolve(uint256 index, uint256 who, uint256 baseBps, uint256 bondsBps) external {
        (baseBps, bondsBps) = (bound(baseBps, 0, 10_001), bound(bondsBps, 0, 10_001));
        _step(index, who, abi.encodeCall(escrow.resolve, (_trade(index), baseBps, bondsBps)));
    }

    function resolveByDefault(uint256 index, uint256 who) external {
        _step(index, who, abi.encodeCall(escrow.resolveByDefault, (_trade(index))));
    }

    function pass(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1, CONFIRM_S));
    }

    /// @dev Locked is what the running trades lock, the parties have all the rest, and nothing came or went.
    function assertConserved() external view {
        (uint256 lockedBase, uint256 lockedQuote) = (0, 0);
        for (uint256 i = 0; i < _trades.length; ++i) {
            if (_isFinal(_states[i])) continue;
            lockedBase += _trades[i].baseAmount;
            lockedQuote += 2 * _trades[i].bondAmount;
        }
        assertEq(vault.lockedBalance(address(base)), lockedBase);
        assertEq(vault.lockedBalance(address(quote)), lockedQuote);
        assertEq(vault.custody(address(base)), lockedBase + _free(address(base)));
        assertEq(vault.custody(address(quote)), lockedQuote + _free(address(quote)));
        assertEq(base.balanceOf(address(vault)), vault.custody(address(base)));
        assertEq(quote.balanceOf(address(vault)), vault.custody(address(quote)));
    }

    /// @dev Each trade stands where its last step put it, and ended at most once.
    function assertEndsAreFinal() external view {
        for (uint256 i = 0; i < _trades.length; ++i) {
            (EscrowState state,,) = escrow.recordOf(_trades[i].ticket);
            assertEq(uint8(state), uint8(_states[i]));
            assertEq(_ends[i], _isFinal(state) ? 1 : 0);
        }
    }

    function _trade(uint256 index) private view returns (OpenedTrade memory trade) {
        if (_trades.length != 0) trade = _trades[index % _trades.length];
    }

    function _step(uint256 index, uint256 who, bytes memory call) private {
        if (_trades.length == 0) return;
        index %= _trades.length;
        address caller = _callers[who % _callers.length];
        (uint256 lockedBase, uint256 lockedQuote) = _locked();
        vm.prank(caller);
        (bool isTaken,) = address(escrow).call(call);
        if (!isTaken) {
            refusals += 1;
            return;
        }
        (EscrowState state, uint256 since,) = escrow.recordOf(_trades[index].ticket);
        assertTrue(_mayMake(caller, _states[index], state), "a change of state that the caller may not make");
        assertEq(since, block.timestamp);
        if (_isFinal(state)) {
            _ends[index] += 1;
            lockedBase -= _trades[index].baseAmount;
            lockedQuote -= 2 * _trades[index].bondAmount;
        }
        (uint256 base_, uint256 quote_) = _locked();
        assertEq(base_, lockedBase, "expected all of the trade's base or nothing to be released");
        assertEq(quote_, lockedQuote, "expected both bonds or nothing to be released");
        _states[index] = state;
        entered[state] += 1;
    }

    /// @dev Who may ever make a change, whatever the time.
    function _mayMake(address caller, EscrowState from, EscrowState to) private view returns (bool) {
        if (from == EscrowState.Open && to == EscrowState.Paid) return caller == buyer || caller == buyerSession;
        if (to == EscrowState.Released) return caller == seller && !_isFinal(from);
        if (from == EscrowState.Open && to == EscrowState.Cancelled) return true;
        if (from == EscrowState.Paid && to == EscrowState.Cancelled) return caller == buyer;
        if (from == EscrowState.Paid && to == EscrowState.Disputed) return true;
        return from == EscrowState.Disputed && to == EscrowState.Resolved;
    }

    function _isFinal(EscrowState state) private pure returns (bool) {
        return state == EscrowState.Released || state == EscrowState.Resolved || state == EscrowState.Cancelled;
    }

    function _locked() private view returns (uint256, uint256) {
        return (vault.lockedBalance(address(base)), vault.lockedBalance(address(quote)));
    }

    function _free(address token) private view returns (uint256) {
        return vault.freeBalance(seller, token) + vault.freeBalance(buyer, token);
    }
}
