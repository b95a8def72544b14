// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IOrrangeVault} from "./IOrrangeVault.sol";
import {Market, MarketId, Order, OrderId, SkipReason, Ticket, TicketDigest, Trade} from "../types/OrrangeTypes.sol";

/// @title Settlement of signed tickets
/// @notice Anyone may submit trades. Each one is checked on its own; one that fails is skipped and reported, the others
/// go on. The legs of a fill-or-kill order are submitted together and settle all or not at all. There is no owner, no pause and no upgrade; the only contract ever called is the vault.
interface IOrrangeSettlement {
    /// @notice A ticket settled: base went from the seller to the buyer and quote the other way, in the market's balances.
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
        uint64 takerTo
    );
    /// @notice A ticket was passed over. The reason is that of the first check that failed, in the order of the numbers.
    /// It says something about what was submitted, not about the ticket: anyone can submit any digest with a broken
    /// signature and have it skipped, before or after it settles. Only `TradeCompleted` is final.
    event TradeSkipped(TicketDigest indexed ticket, SkipReason reason);

    /// @notice The vault serves another settlement contract.
    error ForeignVault(address vault, address settlement);
    /// @notice Allocations could leave before every ticket that relies on them is dead.
    error DeallocationDelayTooShort(uint256 delay, uint256 required);
    /// @notice An epoch or a ticket would have no length.
    error ZeroDuration();
    /// @notice A group has at least one leg and at most `most`.
    error GroupSize(uint256 legs, uint256 most);

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

    /// @notice Lots of an order that settled, as maker or taker.
    function filledLots(OrderId order) external view returns (uint256);

    /// @notice Whether the ticket number of that taker's session has settled.
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

    /// @notice When epoch 0 starts, in unix milliseconds.
    function genesisMs() external view returns (uint64);

    /// @notice Length of an epoch in milliseconds.
    function epochMs() external view returns (uint64);

    /// @notice D, the longest life of a ticket from its matched time to its deadline, in seconds.
    function ticketLifeS() external view returns (uint64);

    /// @notice L_fund, how far behind an epoch the chain facts lie that nodes act on, in seconds.
    function fundLagS() external view returns (uint64);
}
