// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IOrrangeSwap, SwapId, SwapState, SwapTerms} from "./interfaces/IOrrangeSwap.sol";

/// @title The swaps
/// @dev A swap's state is one slot under the digest of its terms: whoever ends it brings the terms along. Which of
/// claim and refund is open depends on the block's time alone, and both leave Open, so that they exclude each other.
/// A token that reports absurd balances can overflow credits in itself, and in nothing else.
contract OrrangeSwap is IOrrangeSwap, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    address private constant COIN = address(0);

    mapping(SwapId swap => SwapState) private _states;
    mapping(address owner => mapping(address token => uint256)) private _credits;

    /// @inheritdoc IOrrangeSwap
    function open(SwapTerms calldata terms) external payable nonReentrant returns (SwapId swap) {
        if (terms.amount == 0) revert ZeroAmount();
        if (terms.recipient == address(0) || terms.refundee == address(0)) revert ZeroAccount();
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp >= terms.deadline) revert DeadlinePassed(terms.deadline, block.timestamp);
        swap = swapId(terms);
        if (_states[swap] != SwapState.None) revert SwapExists(swap);
        _states[swap] = SwapState.Open;
        emit SwapOpened(
            swap,
            terms.recipient,
            terms.refundee,
            terms.token,
            terms.amount,
            terms.hashlock,
            terms.deadline,
            terms.nonce
        );
        _take(terms.token, terms.amount);
    }

    /// @inheritdoc IOrrangeSwap
    function claim(SwapTerms calldata terms, bytes32 preimage) external nonReentrant {
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp >= terms.deadline) revert ClaimTooLate(terms.deadline, block.timestamp);
        bytes32 hash = sha256(abi.encode(preimage));
        if (hash != terms.hashlock) revert WrongPreimage(terms.hashlock, hash);
        SwapId swap = _end(terms, SwapState.Claimed);
        _credits[terms.recipient][terms.token] += terms.amount;
        emit SwapClaimed(swap, terms.recipient, terms.refundee, preimage);
    }

    /// @inheritdoc IOrrangeSwap
    function refund(SwapTerms calldata terms) external nonReentrant {
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp < terms.deadline) revert RefundTooEarly(terms.deadline, block.timestamp);
        SwapId swap = _end(terms, SwapState.Refunded);
        _credits[terms.refundee][terms.token] += terms.amount;
        emit SwapRefunded(swap, terms.recipient, terms.refundee);
    }

    /// @inheritdoc IOrrangeSwap
    function withdraw(address token, uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        uint256 available = _credits[msg.sender][token];
        if (amount > available) revert InsufficientCredit(msg.sender, token, available, amount);
        _credits[msg.sender][token] = available - amount;
        emit CreditWithdrawn(msg.sender, token, amount);
        if (token == COIN) {
            // All gas goes along: the guard holds, and the caller may be a wallet contract.
            (bool isTaken,) = msg.sender.call{value: amount}("");
            if (!isTaken) revert CoinRefused(msg.sender, amount);
        } else {
            IERC20(token).safeTransfer(msg.sender, amount);
        }
    }

    /// @inheritdoc IOrrangeSwap
    function stateOf(SwapId swap) external view returns (SwapState) {
        return _states[swap];
    }

    /// @inheritdoc IOrrangeSwap
    function creditOf(address owner, address token) external view returns (uint256) {
        return _credits[owner][token];
    }

    /// @inheritdoc IOrrangeSwap
    function swapId(SwapTerms calldata terms) public view returns (SwapId) {
        return SwapId.wrap(keccak256(abi.encode(block.chainid, address(this), terms)));
    }

    function _end(SwapTerms calldata terms, SwapState end) private returns (SwapId swap) {
        swap = swapId(terms);
        SwapState state = _states[swap];
        if (state != SwapState.Open) revert SwapNotOpen(swap, state);
        _states[swap] = end;
    }

    /// @dev The counterparty acts on the terms, so that exactly what they name must arrive.
    function _take(address token, uint256 amount) private {
        uint256 value = token == COIN ? amount : 0;
        if (msg.value != value) revert WrongValue(value, msg.value);
        if (token == COIN) return;
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert WrongAmountReceived(token, amount, received);
    }
}
