// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {MarketId, Session} from "../types/OrrangeTypes.sol";

/// @title Custody of tokens and register of session keys
/// @notice Each owner has a free balance per token, and a balance per market and token that only trades in that market
/// can spend. There is no owner, no pause and no upgrade. Only the balance's owner can take tokens out.
interface IOrrangeVault {
    /// @notice `amount` tokens arrived and are free.
    event Deposited(address indexed owner, address indexed token, uint256 amount);
    /// @notice `amount` free tokens left the vault.
    event Withdrawn(address indexed owner, address indexed token, uint256 amount);
    /// @notice `amount` tokens went from free to the market.
    event Allocated(address indexed owner, MarketId indexed market, address indexed token, uint256 amount);
    /// @notice `amount` more tokens are to leave the market; all that is pending can be executed from `availableAt` on.
    event DeallocationRequested(
        address indexed owner, MarketId indexed market, address indexed token, uint256 amount, uint64 availableAt
    );
    /// @notice `amount` tokens went from the market to free and nothing is pending any more. It is less than what was
    /// requested if trades spent part of it in the meantime.
    event DeallocationExecuted(address indexed owner, MarketId indexed market, address indexed token, uint256 amount);
    /// @notice `owner` let `session` act in `scope` until `expiry`.
    event SessionAuthorised(address indexed owner, address indexed session, uint8 scope, uint64 expiry);
    /// @notice `owner` ended `session`.
    event SessionRevoked(address indexed owner, address indexed session);

    /// @notice An amount of nothing.
    error ZeroAmount();
    /// @notice The token's transfer succeeded but nothing arrived.
    error NothingReceived(address token);
    /// @notice The free balance does not cover the amount.
    error InsufficientFree(address owner, address token, uint256 available, uint256 requested);
    /// @notice The market's balance, less what is pending to leave it, does not cover the amount.
    error InsufficientAllocation(address owner, MarketId market, address token, uint256 available, uint256 requested);
    /// @notice No deallocation waits to be executed.
    error NothingPending(address owner, MarketId market, address token);
    /// @notice The delay still runs.
    error DeallocationTooEarly(uint256 availableAt, uint256 time);
    /// @notice The key can never be a session: it is zero or its owner itself.
    error InvalidSession(address session);
    /// @notice The scope is empty or has unknown bits.
    error InvalidScope(uint8 scope);
    /// @notice The expiry is not in the future.
    error ExpiryPassed(uint64 expiry, uint256 time);
    /// @notice The key has been registered before; a key serves one owner once.
    error SessionTaken(address session, address owner);
    /// @notice The caller does not own the session.
    error NotSessionOwner(address session, address caller);
    /// @notice The session was revoked before.
    error SessionAlreadyRevoked(address session, uint64 revokedAt);
    /// @notice Only the settlement contract moves allocations.
    error NotSettlement(address caller);

    /// @notice Takes `amount` of `token` from the caller and credits to its free balance what really arrived.
    function deposit(address token, uint256 amount) external;

    /// @notice Sends `amount` of the caller's free `token` to the caller.
    function withdraw(address token, uint256 amount) external;

    /// @notice Moves `amount` of the caller's free `token` to its balance in `market`.
    function allocate(MarketId market, address token, uint256 amount) external;

    /// @notice Asks for `amount` of `token` to leave `market`. Trades can spend it until it is executed.
    /// Adds to what is pending and restarts the delay for all of it.
    function requestDeallocation(MarketId market, address token, uint256 amount) external;

    /// @notice Frees what is pending, or what trades left of it, once the delay is over. Nothing is pending afterwards.
    function executeDeallocation(MarketId market, address token) external;

    /// @notice Lets `key` sign for the caller: scope bit 1 tickets, bit 2 orders. A key is registered once, for ever.
    function authoriseSession(address key, uint8 scope, uint64 expiry) external;

    /// @notice Ends a session of the caller from now on; see `Sessions.isAlive` for the tickets it still covers.
    function revokeSession(address key) external;

    /// @notice Pays a trade inside `market`: base from the seller to the buyer, quote from the buyer to the seller.
    /// Only for the settlement contract. What is pending to leave the market is spent last.
    function move(
        MarketId market,
        address seller,
        address buyer,
        address base,
        address quote,
        uint256 baseAmount,
        uint256 quoteAmount
    ) external;

    /// @notice Tokens of `owner` that can be withdrawn at once.
    function freeBalance(address owner, address token) external view returns (uint256);

    /// @notice Tokens of `owner` that trades in `market` can spend, pending ones included.
    function allocation(address owner, MarketId market, address token) external view returns (uint256);

    /// @notice What an execution would free if nothing more is spent (never above the allocation), and from when on.
    function pendingDeallocation(address owner, MarketId market, address token)
        external
        view
        returns (uint256 amount, uint64 availableAt);

    /// @notice The record of a session key; all zero if it was never registered.
    function session(address key) external view returns (Session memory);

    /// @notice All tokens the vault owes to its owners: the sum of every free and allocated balance.
    function custody(address token) external view returns (uint256);

    /// @notice The one contract that may call `move`.
    function settlement() external view returns (address);

    /// @notice Seconds from a request to its execution.
    function deallocationDelay() external view returns (uint64);
}
