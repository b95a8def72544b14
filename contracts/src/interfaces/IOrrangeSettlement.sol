// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IOrrangeEscrow} from "./IOrrangeEscrow.sol";
import {IOrrangeVault} from "./IOrrangeVault.sol";
import {Market, MarketId, Order, OrderId, SkipReason, Ticket, TicketDigest, Trade} from "../types/OrrangeTypes.sol";

/// @title Settlement of signed tickets
/// @notice Anyone may submit trades. Each one is checked on its own; one that fails is skipped and reported, the others
/// go on. The legs of a fill-or-kill order are submitted together and settle all or not at all. There is no owner, no pause
/// and no upgrade; the only contracts ever called are the vault and the escrow.
interface IOrrangeSettlement {
    /// @notice A ticket settled: base went from the seller to the buyer and quote the other way, in the market's balances,
    /// but for `fee` of the quote, which went to submitter and sink. `sinkMicros` is the sink's part in micro-units of the fee token,
    /// rounded down, zero where the quote is another token.
    event TradeCompleted(
        TicketDigest indexed ticket,
        address indexed makerOwner,
        address indexed takerOwner,
        MarketId market,
        OrderId makerOrder,
        OrderId takerOrder,
        bool makerIsBuyer,
        uint64 priceTicks,
        uint64 makerFrom,
        uint64 makerTo,
        uint64 takerFrom,
        uint64 takerTo,
        uint256 fee,
        uint256 sinkMicros
    );
    /// @notice A ticket opened an escrow: the seller's base and a bond in quote of each side left the market's balances.
    event TradeCreated(
        TicketDigest indexed ticket,
        address indexed makerOwner,
        address indexed takerOwner,
        MarketId market,
        OrderId makerOrder,
        OrderId takerOrder,
        bool makerIsBuyer,
        uint64 priceTicks,
        uint64 makerFrom,
        uint64 makerTo,
        uint64 takerFrom,
        uint64 takerTo,
        uint8 security
    );
    /// @notice `owner` cannot keep a ticket that it signed: its lots or its session's cap are spent, or its funds do not cover it.
    /// `amount` micro-units of the fee token are due from its bond, half of what is taken for `victim`, zero if both sides failed.
    event Defaulted(TicketDigest indexed ticket, address indexed owner, address indexed victim, uint256 amount);
    /// @notice `owner` cancelled an order: tickets matched more than `fundLagS` later are void.
    event OrderCancelled(OrderId indexed order, address indexed owner, address indexed session);
    /// @notice `owner` cancelled every order of `session` with a nonce of at most `nonce`, likewise.
    event OrdersCancelled(address indexed owner, address indexed session, uint64 nonce);
    /// @notice A ticket was passed over, for the first check that failed. They are made in this order: signature, market,
    /// validity, cancelled, deadline, replay, limits, grouped, kind, overfill, cap, funds.
    /// It says something about what was submitted, not about the ticket: anyone can submit any digest with a broken
    /// signature and have it skipped, before or after it settles. Only `TradeCompleted` is final.
    event TradeSkipped(TicketDigest indexed ticket, SkipReason reason);

    /// @notice The vault serves another settlement contract.
    error ForeignVault(address vault, address settlement);
    /// @notice The vault serves another escrow contract.
    error ForeignEscrow(address escrow, address expected);
    /// @notice Allocations or bonds could leave before every ticket that relies on them is dead.
    error DelayTooShort(uint256 delay, uint256 required);
    /// @notice A fee or a share of it above the most that there may be, in millionths.
    error FeeTooLarge(uint256 ppm, uint256 mostPpm);
    /// @notice An epoch or a ticket would have no length.
    error ZeroDuration();
    /// @notice A group has at least one leg and at most `most`.
    error GroupSize(uint256 legs, uint256 most);

    /// @notice Only the owner cancels its orders.
    error NotOrderOwner(address owner, address caller);
    /// @notice The order was cancelled before.
    error AlreadyCancelled(OrderId order, uint256 cancelledAt);
    /// @notice Every order below `below` is cancelled already, or no order has such a nonce.
    error NothingToCancel(address session, uint64 nonce, uint64 below);
    /// @notice Tickets that the last call still covers are alive until then.
    error CancelTooSoon(uint256 availableAt, uint256 time);

    /// @notice Settles each trade that passes every check and reports the others. A trade of a group or of a fill-or-kill
    /// order is among the others.
    function settle(Trade[] calldata trades) external;

    /// @notice Settles a whole fill-or-kill order, all of its legs or none, given in any order.
    /// @dev First the form: every leg has the group, epoch and deadline of the first and one and the same fill-or-kill
    /// order as its taker's, the legs' ranges of that order make up all of it, and `groupDigest` of the tickets is the
    /// group. Then each leg passes the checks of `settle`, on top of what the legs before it draw. If anything fails, nothing
    /// is written and one `TradeSkipped` names the leg and the reason: `Grouped` for the form, with the first leg where
    /// the fault is none of a single one.
    function settleGroup(Trade[] calldata legs) external;

    /// @notice Cancels one order of the caller for good. Tickets matched until `fundLagS` from now still settle.
    function cancel(Order calldata order) external;

    /// @notice Cancels every order of the caller in a session up to and with that nonce, those not yet signed included.
    /// Tickets matched until `fundLagS` from now still settle; while one of them can be alive the next call, unless in
    /// the same block, is refused: `cancel` and `revokeSession` of the vault are there for that time.
    function cancelUpTo(address session, uint64 nonce) external;

    /// @notice Lots of an order that settled, as maker or taker.
    function filledLots(OrderId order) external view returns (uint256);

    /// @notice When an order was cancelled by itself, unix seconds; zero if it was not.
    function cancelledAt(OrderId order) external view returns (uint256);

    /// @notice What `cancelUpTo` left: orders with a nonce below `deadBelow` never settle, those below `voidBelow` no more if
    /// matched later than `fundLagS` after `at`, in unix seconds.
    function floorOf(address owner, address session)
        external
        view
        returns (uint64 deadBelow, uint64 voidBelow, uint40 at);

    /// @notice Whether the ticket number of that taker's session has settled or has been recorded as a default.
    function isUsed(address session, uint64 ticketNonce) external view returns (bool);

    /// @notice EIP-712 digest of a market.
    function marketId(Market calldata market) external view returns (MarketId);

    /// @notice EIP-712 digest of an order.
    function orderId(Order calldata order) external view returns (OrderId);

    /// @notice EIP-712 digest of a ticket.
    function ticketDigest(Ticket calldata ticket) external view returns (TicketDigest);

    /// @notice The group of these tickets: keccak256 of their digests taken with a zero group, sorted and concatenated.
    function groupDigest(Ticket[] calldata tickets) external view returns (bytes32);

    /// @notice The EIP-712 domain separator, for the chain id of now.
    function domainSeparator() external view returns (bytes32);

    /// @notice The vault whose balances pay.
    function vault() external view returns (IOrrangeVault);

    /// @notice The contract that takes over trades paid outside the chain.
    function escrow() external view returns (IOrrangeEscrow);

    /// @notice When epoch 0 starts, in unix milliseconds.
    function genesisMs() external view returns (uint64);

    /// @notice Length of an epoch in milliseconds.
    function epochMs() external view returns (uint64);

    /// @notice D, the longest life of a ticket from its matched time to its deadline, in seconds.
    function ticketLifeS() external view returns (uint64);

    /// @notice L_fund, how far behind an epoch the chain facts lie that nodes act on, in seconds.
    function fundLagS() external view returns (uint64);

    /// @notice Millionths of the quote amount that the seller does not get.
    function feePpm() external view returns (uint32);

    /// @notice Millionths of the fee that the sink gets; the submitter gets the rest.
    function sinkSharePpm() external view returns (uint32);

    /// @notice Where the sink's part of fees becomes free.
    function sink() external view returns (address);

    /// @notice The least that a default costs, micro-units of the fee token.
    function penalty() external view returns (uint96);
}
