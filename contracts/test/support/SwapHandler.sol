// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {OrrangeSwap} from "../../src/OrrangeSwap.sol";
import {TestToken} from "../../src/dev/TestToken.sol";
import {SwapId, SwapState, SwapTerms} from "../../src/interfaces/IOrrangeSwap.sol";

/// @dev Three owners that open, claim, refund and withdraw in the coin and a token, in time and out of it. Nothing here
/// may revert but what is caught, and what is caught must be what its own books expect.
contract SwapHandler is Test {
    OrrangeSwap public swap = new OrrangeSwap();
    TestToken private _token = new TestToken("Token", "TOK", 18);
    address[3] private _owners = [address(0xA11), address(0xB0B), address(0xCA7)];
    SwapTerms[] private _terms;
    SwapState[] private _ended;
    mapping(address owner => mapping(address token => uint256)) private _credits;
    mapping(address token => uint256) private _locked;
    uint256 public claimed;
    uint256 public refunded;
    uint256 public refusals;

    function open(uint256 who, uint256 amount, uint256 life, bool isCoin) external {
        address owner = _owners[who % 3];
        SwapTerms memory terms = SwapTerms({
            token: isCoin ? address(0) : address(_token),
            amount: bound(amount, 1, 1e30),
            recipient: _owners[(who % 3 + 1) % 3],
            refundee: owner,
            hashlock: sha256(abi.encode(_preimage(_terms.length))),
            deadline: uint64(block.timestamp + bound(life, 1, 100)),
            nonce: uint64(_terms.length)
        });
        _give(owner, terms.token, terms.amount);
        vm.prank(owner);
        swap.open{value: isCoin ? terms.amount : 0}(terms);
        _terms.push(terms);
        _ended.push(SwapState.Open);
        _locked[terms.token] += terms.amount;
    }

    function claim(uint256 index, bool isRight) external {
        if (_terms.length == 0) return;
        index %= _terms.length;
        SwapTerms memory terms = _terms[index];
        bool isDue = isRight && block.timestamp < terms.deadline && _ended[index] == SwapState.Open;
        try swap.claim(terms, isRight ? _preimage(index) : bytes32(index)) {
            assertTrue(isDue, "claimed what was not to be claimed");
            _end(index, SwapState.Claimed, terms.recipient);
            claimed += 1;
        } catch {
            assertFalse(isDue, "refused a claim that was due");
            refusals += 1;
        }
    }

    function refund(uint256 index) external {
        if (_terms.length == 0) return;
        index %= _terms.length;
        SwapTerms memory terms = _terms[index];
        bool isDue = block.timestamp >= terms.deadline && _ended[index] == SwapState.Open;
        try swap.refund(terms) {
            assertTrue(isDue, "refunded what was not to be refunded");
            _end(index, SwapState.Refunded, terms.refundee);
            refunded += 1;
        } catch {
            assertFalse(isDue, "refused a refund that was due");
            refusals += 1;
        }
    }

    function withdraw(uint256 who, uint256 amount, bool isCoin) external {
        address owner = _owners[who % 3];
        address token = isCoin ? address(0) : address(_token);
        if (_credits[owner][token] == 0) return;
        amount = bound(amount, 1, _credits[owner][token]);
        _credits[owner][token] -= amount;
        vm.prank(owner);
        swap.withdraw(token, amount);
    }

    function donate(uint256 amount) external {
        _token.mint(address(swap), bound(amount, 1, 1e18));
    }

    function pass(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1, 60));
    }

    /// @dev What is locked and credited is held, coin and token; donations stay.
    function assertConserved() external view {
        (uint256 coin, uint256 tokens) = (_locked[address(0)], _locked[address(_token)]);
        for (uint256 i = 0; i < 3; ++i) {
            coin += _credits[_owners[i]][address(0)];
            tokens += _credits[_owners[i]][address(_token)];
            assertEq(swap.creditOf(_owners[i], address(0)), _credits[_owners[i]][address(0)]);
            assertEq(swap.creditOf(_owners[i], address(_token)), _credits[_owners[i]][address(_token)]);
        }
        assertEq(address(swap).balance, coin);
        assertGe(_token.balanceOf(address(swap)), tokens);
    }

    /// @dev Each swap stands where its one end, if any, put it.
    function assertEndsAreFinal() external view {
        for (uint256 i = 0; i < _terms.length; ++i) {
            assertEq(uint8(swap.stateOf(swap.swapId(_terms[i]))), uint8(_ended[i]));
        }
    }

    function _end(uint256 index, SwapState state, address credited) private {
        SwapTerms memory terms = _terms[index];
        _ended[index] = state;
        _locked[terms.token] -= terms.amount;
        _credits[credited][terms.token] += terms.amount;
    }

    function _give(address owner, address token, uint256 amount) private {
        if (token == address(0)) {
            vm.deal(owner, amount);
            return;
        }
        _token.mint(owner, amount);
        vm.prank(owner);
        _token.approve(address(swap), amount);
    }

    function _preimage(uint256 index) private pure returns (bytes32) {
        return keccak256(abi.encode("preimage", index));
    }
}
