// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {EscrowFunds, MarketId, Payment, Session, Standing, TokenCap} from "../types/OrrangeTypes.sol";

/// @title Custody of tokens and register of session keys
/// @notice Each owner has a free balance per token, and a balance per market and token that only trades in that market
/// can spend, bonds that answer for misconduct, and what is locked for escrows. The native coin is the token with the zero
/// address. There is no owner, no pause and no upgrade. Only the balance's owner can take tokens out.
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

    /// @notice `session` may spend at most `amount` of `token` in all its life.
    event SessionCapped(address indexed owner, address indexed session, address indexed token, uint128 amount);
    /// @notice `owner` ended every session that it had.
    event AllSessionsRevoked(address indexed owner);
    /// @notice The bond of `owner`, without what is unbonding, is now `amount` micro-units of the fee token.
    event BondChanged(address indexed owner, uint256 amount);
    /// @notice `amount` more micro-units are to leave the bond; all that is unbonding can be executed from `availableAt` on.
    event UnbondingRequested(address indexed owner, uint256 amount, uint64 availableAt);
    /// @notice `amount` micro-units went from the bond to free; nothing is unbonding any more.
    event UnbondingExecuted(address indexed owner, uint256 amount);
    /// @notice `taken` micro-units left the bond of `owner`: `reward` became free for `beneficiary`, the rest is nobody's.
    event BondSlashed(address indexed owner, address indexed beneficiary, uint256 taken, uint256 reward);
    /// @notice Base of the seller and `bondAmount` of quote of each side went from the market to the escrows.
    event Locked(
        MarketId indexed market,
        address indexed seller,
        address indexed buyer,
        address base,
        address quote,
        uint256 baseAmount,
        uint256 bondAmount
    );
    /// @notice `amount` tokens went from the escrows to what `to` has free.
    event Released(address indexed to, address indexed token, uint256 amount);

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
    /// @notice Only the settlement contract moves and locks allocations.
    error NotSettlement(address caller);
    /// @notice Only the escrow contract releases what is locked.
    error NotEscrow(address caller);
    /// @notice Only the settlement and slasher contracts slash.
    error NotSlasher(address caller);
    /// @notice The native coin sent is not the amount of a native deposit, or came with another token's.
    error WrongValue(uint256 expected, uint256 value);
    /// @notice The receiver of a native withdrawal refused it.
    error NativeRefused(address owner, uint256 amount);
    /// @notice Less is locked for escrows than is to be released.
    error InsufficientLocked(address token, uint256 available, uint256 requested);
    /// @notice The bond, without what is unbonding, does not cover the amount; micro-units.
    error InsufficientBond(address owner, uint256 available, uint256 requested);
    /// @notice Nothing of the bond waits to leave.
    error NothingUnbonding(address owner);
    /// @notice The delay still runs.
    error UnbondingTooEarly(uint256 availableAt, uint256 time);
    /// @notice A beneficiary gets at most half of what is slashed.
    error ShareTooLarge(uint256 shareBps, uint256 mostBps);
    /// @notice The session's cap for a token was given twice.
    error CapRepeated(address session, address token);
    /// @notice The session may not spend so much more of the token.
    error CapExceeded(address session, address token, uint256 left, uint256 requested);
    /// @notice The owner revoked all of its sessions in this very second; authorise in a later block.
    error SessionsJustRevoked(address owner, uint256 time);

    /// @notice Takes `amount` of `token` from the caller and credits to its free balance what really arrived. Of the native
    /// coin the call carries `amount`, otherwise none.
    function deposit(address token, uint256 amount) external payable;

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

    /// @notice `authoriseSession`, with the most that the key may ever spend of some tokens, at least one; of others it may
    /// spend all there is. A session without a cap costs nothing more to settle.
    function authoriseCappedSession(address key, uint8 scope, uint64 expiry, TokenCap[] calldata caps) external;

    /// @notice Ends every session of the caller that there is, as `revokeSession` would; later ones are not touched, and a
    /// later call does not prolong what an earlier one ended.
    function revokeAllSessions() external;

    /// @notice Ends a session of the caller from now on; see `Sessions.isAlive` for the tickets it still covers.
    function revokeSession(address key) external;

    /// @notice Takes `amount` micro-units of the fee token from what the caller has free into its bond.
    function bond(uint96 amount) external;

    /// @notice Asks for `amount` micro-units to leave the caller's bond. They can be slashed until it is executed.
    /// Adds to what is unbonding and restarts the delay for all of it.
    function requestUnbonding(uint96 amount) external;

    /// @notice Frees what is unbonding once the delay is over.
    function executeUnbonding() external;

    /// @notice Pays a trade inside its market: base from the seller to the buyer, quote from the buyer to the seller less the
    /// fee, which becomes free for submitter and sink. What is pending to leave the market is spent last.
    /// @dev Only for the settlement contract, which has looked at `standings` before: whatever is missing reverts.
    function move(Payment calldata payment) external;

    /// @notice Takes what an escrow needs out of the market: the seller's base and a bond in quote of each side.
    /// @dev Only for the settlement contract, likewise.
    function lock(EscrowFunds calldata funds) external;

    /// @notice Makes `amount` of what is locked for escrows free for `to`. Only for the escrow contract.
    function release(address token, address to, uint256 amount) external;

    /// @notice Takes up to `amountDue` micro-units from the bond of `owner`, bonded ones first, then unbonding ones, and says how
    /// many it took. `shareBps` hundredths of a percent of it, at most 5000, rounded down, become free for `beneficiary`.
    /// The rest is burned: it stays in the vault and is nobody's, because a token that is sent away could refuse.
    /// @dev Only for the settlement and slasher contracts. Never reverts for want of a bond.
    function slash(address owner, uint256 amountDue, address beneficiary, uint256 shareBps)
        external
        returns (uint256 taken);

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

    /// @notice The most of `token` that a session may spend in all and what it has spent; zeros if it has no such cap.
    function cap(address key, address token) external view returns (uint128 limit, uint128 spent);

    /// @notice What the owners of two sessions can spend through them in a market, each of one token.
    function standings(
        MarketId market,
        address makerSession,
        address makerToken,
        address takerSession,
        address takerToken
    ) external view returns (Standing memory maker, Standing memory taker);

    /// @notice An owner's bond and what of it is leaving, in micro-units of the fee token, and from when on it can.
    function bondOf(address owner) external view returns (uint96 bonded, uint96 unbonding, uint64 availableAt);

    /// @notice The fee token, in which bonds are held; zero for the native coin.
    function bondToken() external view returns (address);

    /// @notice Units of the fee token in a micro-unit.
    function bondUnit() external view returns (uint256);

    /// @notice Seconds from a request to unbond to its execution.
    function unbondingDelay() external view returns (uint64);

    /// @notice Tokens locked for all escrows together.
    function lockedBalance(address token) external view returns (uint256);

    /// @notice All tokens the vault owes: the sum of every free and allocated balance, of the bonds, and of what is locked.
    function custody(address token) external view returns (uint256);

    /// @notice The contract that may call `move`, `lock` and `slash`.
    function settlement() external view returns (address);

    /// @notice The contract that may call `release`.
    function escrow() external view returns (address);

    /// @notice The other contract that may call `slash`.
    function slasher() external view returns (address);

    /// @notice Seconds from a request to its execution.
    function deallocationDelay() external view returns (uint64);
}
