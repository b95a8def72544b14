// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IOrrangeVault} from "./interfaces/IOrrangeVault.sol";
import {Sessions} from "./libraries/Sessions.sol";
import {MarketId, Session} from "./types/OrrangeTypes.sol";

/// @title The vault
/// @dev The sum of all balances of a token never exceeds `custody[token]`, a checked uint256, so that no credit
/// in `move` can overflow whatever a hostile token reports: one trade can never revert a batch.
contract OrrangeVault is IOrrangeVault, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    struct Account {
        uint256 amount;
        uint256 pending; // asked to leave; may exceed `amount` after trades, then only `amount` will leave
        uint64 availableAt;
    }

    address private immutable SETTLEMENT;
    uint64 private immutable DEALLOCATION_DELAY;

    mapping(address token => uint256) private _custody;
    mapping(address owner => mapping(address token => uint256)) private _free;
    mapping(address owner => mapping(MarketId market => mapping(address token => Account))) private _accounts;
    mapping(address key => Session) private _sessions;

    /// @param settlement_ The settlement contract's address, computed before it is deployed.
    /// @param deallocationDelay_ Seconds from a request to its execution.
    constructor(address settlement_, uint64 deallocationDelay_) {
        SETTLEMENT = settlement_;
        DEALLOCATION_DELAY = deallocationDelay_;
    }

    /// @inheritdoc IOrrangeVault
    function deposit(address token, uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received == 0) revert NothingReceived(token);
        _custody[token] += received;
        _free[msg.sender][token] += received;
        emit Deposited(msg.sender, token, received);
    }

    /// @inheritdoc IOrrangeVault
    function withdraw(address token, uint256 amount) external nonReentrant {
        _debitFree(token, amount);
        _custody[token] -= amount;
        emit Withdrawn(msg.sender, token, amount);
        IERC20(token).safeTransfer(msg.sender, amount);
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
        uint64 availableAt = SafeCast.toUint64(block.timestamp + DEALLOCATION_DELAY);
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
    function authoriseSession(address key, uint8 scope, uint64 expiry) external {
        if (key == address(0) || key == msg.sender) revert InvalidSession(key);
        if (scope == 0 || scope > Sessions.SCOPE_ALL) revert InvalidScope(scope);
        if (expiry <= block.timestamp) revert ExpiryPassed(expiry, block.timestamp);
        address holder = _sessions[key].owner;
        if (holder != address(0)) revert SessionTaken(key, holder);
        _sessions[key] = Session({owner: msg.sender, scope: scope, expiry: expiry, revokedAt: 0});
        emit SessionAuthorised(msg.sender, key, scope, expiry);
    }

    /// @inheritdoc IOrrangeVault
    function revokeSession(address key) external {
        Session storage record = _sessions[key];
        if (record.owner != msg.sender) revert NotSessionOwner(key, msg.sender);
        if (record.revokedAt != 0) revert SessionAlreadyRevoked(key, record.revokedAt);
        record.revokedAt = SafeCast.toUint64(block.timestamp);
        emit SessionRevoked(msg.sender, key);
    }

    /// @inheritdoc IOrrangeVault
    function move(
        MarketId market,
        address seller,
        address buyer,
        address base,
        address quote,
        uint256 baseAmount,
        uint256 quoteAmount
    ) external nonReentrant {
        if (msg.sender != SETTLEMENT) revert NotSettlement(msg.sender);
        _transfer(market, base, seller, buyer, baseAmount);
        _transfer(market, quote, buyer, seller, quoteAmount);
    }

    /// @inheritdoc IOrrangeVault
    function freeBalance(address owner, address token) external view returns (uint256) {
        return _free[owner][token];
    }

    /// @inheritdoc IOrrangeVault
    function allocation(address owner, MarketId market, address token) external view returns (uint256) {
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
    function session(address key) external view returns (Session memory) {
        return _sessions[key];
    }

    /// @inheritdoc IOrrangeVault
    function custody(address token) external view returns (uint256) {
        return _custody[token];
    }

    /// @inheritdoc IOrrangeVault
    function settlement() external view returns (address) {
        return SETTLEMENT;
    }

    /// @inheritdoc IOrrangeVault
    function deallocationDelay() external view returns (uint64) {
        return DEALLOCATION_DELAY;
    }

    function _debitFree(address token, uint256 amount) private {
        if (amount == 0) revert ZeroAmount();
        uint256 available = _free[msg.sender][token];
        if (amount > available) revert InsufficientFree(msg.sender, token, available, amount);
        _free[msg.sender][token] = available - amount;
    }

    function _transfer(MarketId market, address token, address from, address to, uint256 amount) private {
        Account storage source = _accounts[from][market][token];
        uint256 available = source.amount;
        if (amount > available) revert InsufficientAllocation(from, market, token, available, amount);
        source.amount = available - amount;
        _accounts[to][market][token].amount += amount;
    }
}
