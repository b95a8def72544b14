// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IOrrangeVault} from "../interfaces/IOrrangeVault.sol";
import {MarketId} from "../types/OrrangeTypes.sol";

/// @title Tokens in custody: free, allocated to markets, locked for escrows
/// @dev The sum of all balances of a token never exceeds `custody[token]`, a checked uint256, so that no credit can
/// overflow whatever a hostile token reports: one trade can never revert a batch.
abstract contract Balances is IOrrangeVault, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    struct Account {
        uint256 amount;
        uint256 pending; // asked to leave; may exceed `amount` after trades, then only `amount` will leave
        uint64 availableAt;
    }

    address internal constant NATIVE = address(0);

    uint64 private immutable DEALLOCATION_DELAY_S;

    mapping(address token => uint256) private _custody;
    mapping(address token => uint256) private _locked;
    mapping(address owner => mapping(address token => uint256)) private _free;
    mapping(address owner => mapping(MarketId market => mapping(address token => Account))) private _accounts;

    constructor(uint64 deallocationDelayS) {
        DEALLOCATION_DELAY_S = deallocationDelayS;
    }

    /// @inheritdoc IOrrangeVault
    function deposit(address token, uint256 amount) external payable nonReentrant {
        if (amount == 0) revert ZeroAmount();
        uint256 native = token == NATIVE ? amount : 0;
        if (msg.value != native) revert WrongValue(native, msg.value);
        uint256 received = token == NATIVE ? amount : _pull(token, amount);
        _custody[token] += received;
        _free[msg.sender][token] += received;
        emit Deposited(msg.sender, token, received);
    }

    /// @inheritdoc IOrrangeVault
    function withdraw(address token, uint256 amount) external nonReentrant {
        _debitFree(token, amount);
        _custody[token] -= amount;
        emit Withdrawn(msg.sender, token, amount);
        if (token != NATIVE) return IERC20(token).safeTransfer(msg.sender, amount);
        (bool isSent,) = msg.sender.call{value: amount}("");
        if (!isSent) revert NativeRefused(msg.sender, amount);
    }

    /// @inheritdoc IOrrangeVault
    function allocate(MarketId market, address token, uint256 amount) external nonReentrant {
        _debitFree(token, amount);
        _accounts[msg.sender][market][token].amount += amount;
        emit Allocated(msg.sender, market, token, amount);
    }

    /// @inheritdoc IOrrangeVault
    function requestDeallocation(MarketId market, address token, uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        Account storage account = _accounts[msg.sender][market][token];
        uint256 available = account.amount - Math.min(account.pending, account.amount);
        if (amount > available) revert InsufficientAllocation(msg.sender, market, token, available, amount);
        uint64 availableAt = SafeCast.toUint64(block.timestamp + DEALLOCATION_DELAY_S);
        account.pending += amount;
        account.availableAt = availableAt;
        emit DeallocationRequested(msg.sender, market, token, amount, availableAt);
    }

    /// @inheritdoc IOrrangeVault
    function executeDeallocation(MarketId market, address token) external nonReentrant {
        Account storage account = _accounts[msg.sender][market][token];
        if (account.pending == 0) revert NothingPending(msg.sender, market, token);
        if (block.timestamp < account.availableAt) revert DeallocationTooEarly(account.availableAt, block.timestamp);
        uint256 moved = Math.min(account.pending, account.amount);
        account.amount -= moved;
        account.pending = 0;
        account.availableAt = 0;
        _free[msg.sender][token] += moved;
        emit DeallocationExecuted(msg.sender, market, token, moved);
    }

    /// @inheritdoc IOrrangeVault
    function freeBalance(address owner, address token) external view returns (uint256) {
        return _free[owner][token];
    }

    /// @inheritdoc IOrrangeVault
    function allocation(address owner, MarketId market, address token) public view returns (uint256) {
        return _accounts[owner][market][token].amount;
    }

    /// @inheritdoc IOrrangeVault
    function pendingDeallocation(address owner, MarketId market, address token)
        external
        view
        returns (uint256 amount, uint64 availableAt)
    {
        Account storage account = _accounts[owner][market][token];
        return (Math.min(account.pending, account.amount), account.availableAt);
    }

    /// @inheritdoc IOrrangeVault
    function lockedBalance(address token) external view returns (uint256) {
        return _locked[token];
    }

    /// @inheritdoc IOrrangeVault
    function custody(address token) external view returns (uint256) {
        return _custody[token];
    }

    /// @inheritdoc IOrrangeVault
    function deallocationDelay() external view returns (uint64) {
        return DEALLOCATION_DELAY_S;
    }

    function _debitFree(address token, uint256 amount) internal {
        if (amount == 0) revert ZeroAmount();
        uint256 available = _free[msg.sender][token];
        if (amount > available) revert InsufficientFree(msg.sender, token, available, amount);
        _free[msg.sender][token] = available - amount;
    }

    function _creditFree(address owner, address token, uint256 amount) internal {
        if (amount != 0) _free[owner][token] += amount;
    }

    function _debit(MarketId market, address token, address owner, uint256 amount) internal {
        Account storage account = _accounts[owner][market][token];
        uint256 available = account.amount;
        if (amount > available) revert InsufficientAllocation(owner, market, token, available, amount);
        account.amount = available - amount;
    }

    function _credit(MarketId market, address token, address owner, uint256 amount) internal {
        _accounts[owner][market][token].amount += amount;
    }

    function _lock(address token, uint256 amount) internal {
        _locked[token] += amount;
    }

    function _unlock(address token, uint256 amount) internal {
        uint256 available = _locked[token];
        if (amount > available) revert InsufficientLocked(token, available, amount);
        _locked[token] = available - amount;
    }

    /// @dev What nobody is owed any more stays in the vault for ever.
    function _forget(address token, uint256 amount) internal {
        _custody[token] -= amount;
    }

    function _pull(address token, uint256 amount) private returns (uint256 received) {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        received = IERC20(token).balanceOf(address(this)) - before;
        if (received == 0) revert NothingReceived(token);
    }
}
