// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {MarketId, TicketDigest} from "../types/OrrangeTypes.sol";
import {IOrrangeVault} from "./IOrrangeVault.sol";

/// @notice A fully checked ticket of kind 1 whose funds the vault has locked: the seller's base and both bonds. The escrow
/// keeps a commitment to it; whoever acts on a trade brings it along, as `EscrowOpened` told it.
struct OpenedTrade {
    TicketDigest ticket;
    MarketId market;
    address seller;
    address buyer;
    address base;
    address quote;
    uint256 baseAmount; // base units, the seller's
    uint256 bondAmount; // quote units of each side
    uint32 paymentMethod;
    address arbitrator; // neither zero nor a party
    uint8 security; // 1 to 3
    uint64 matchedAt; // unix seconds
}

/// @notice Where a trade stands. Released, Resolved and Cancelled are final.
enum EscrowState {
    None,
    Open, // the buyer's turn: pay outside the chain and say so
    Paid, // the seller's turn: release or dispute
    Disputed, // the arbitrator's turn: split
    Released, // base to the buyer
    Resolved, // split, by the arbitrator or by default
    Cancelled // base to the seller
}

/// @title Trades whose quote is paid outside the chain
/// @notice Open -> Paid -> Released | Disputed -> Resolved; Open | Paid -> Cancelled. Each duty has a clock of its own, which
/// starts when the state does. Ends credit free balances in the vault; nothing is sent. Nobody owns, pauses or upgrades it.
/// A session of a party with the TRADE scope may do what costs the party nothing: say that it paid, cancel for free, dispute.
interface IOrrangeEscrow {
    /// @notice The escrow took over a trade.
    event EscrowOpened(
        TicketDigest indexed ticket,
        address indexed seller,
        address indexed buyer,
        MarketId market,
        address base,
        address quote,
        uint256 baseAmount,
        uint256 bondAmount,
        uint32 paymentMethod,
        address arbitrator,
        uint8 security,
        uint64 matchedAt
    );
    /// @notice The buyer says that it has paid.
    event PaymentConfirmed(TicketDigest indexed ticket, address indexed seller, address indexed buyer);
    /// @notice The seller let the base go to the buyer; each side has its bond back.
    event EscrowReleased(TicketDigest indexed ticket, address indexed seller, address indexed buyer);
    /// @notice The base is the seller's again, and so is `penalty` of the buyer's bond.
    event TradeCancelled(TicketDigest indexed ticket, address indexed seller, address indexed buyer, uint256 penalty);
    /// @notice The arbitrator is called: by the seller, or by anyone because the seller was silent.
    event TradeDisputed(TicketDigest indexed ticket, address indexed seller, address indexed buyer, address by);
    /// @notice The seller got so much of the base and of both bonds, the buyer the rest: by the arbitrator, or by default.
    event DisputeResolved(
        TicketDigest indexed ticket,
        address indexed seller,
        address indexed buyer,
        uint256 sellerBase,
        uint256 sellerQuote,
        bool isByDefault
    );
    /// @notice The arbitrator took bond from `owner`, which counts for `amount` micro-units of the fee token in its record.
    event DisputeLost(TicketDigest indexed ticket, address indexed owner, uint256 amount);

    /// @notice A clock of zero, or a time to cancel for free that is no shorter than the time to pay.
    error InvalidClocks();
    /// @notice The vault lets another contract release what is locked.
    error NotEscrowOf(address vault, address escrow);
    /// @notice Only the settlement contract opens trades.
    error NotSettlement(address caller);
    /// @notice No arbitrator, one that is a party, one party on both sides, or an unknown security.
    error InvalidTrade(TicketDigest ticket);
    /// @notice The ticket was opened before.
    error TradeExists(TicketDigest ticket);
    /// @notice The terms brought along are not those that were opened, or no trade of the ticket was.
    error WrongTerms(TicketDigest ticket);
    /// @notice The trade's state has no such step.
    error WrongState(TicketDigest ticket, EscrowState state);
    /// @notice Only the seller itself.
    error NotSeller(TicketDigest ticket, address caller);
    /// @notice Only the buyer, or for what costs it nothing a TRADE session of its own.
    error NotBuyer(TicketDigest ticket, address caller);
    /// @notice Only the arbitrator that both orders name.
    error NotArbitrator(TicketDigest ticket, address caller);
    /// @notice The clock still runs for whoever has the duty.
    error TooEarly(TicketDigest ticket, uint256 availableAt, uint256 time);
    /// @notice The clock has run out.
    error TooLate(TicketDigest ticket, uint256 deadline, uint256 time);
    /// @notice More than the whole, which is 10,000.
    error InvalidSplit(uint256 bps);

    /// @notice Takes over a trade. Only for the settlement contract, once a ticket, after the vault has locked the funds.
    /// @dev Does not revert for a trade that the settlement passes on, or one trade would stop a batch.
    function open(OpenedTrade calldata trade) external;

    /// @notice Says that the buyer has paid: Open, strictly before the time to pay is over. By the buyer or its session.
    function markPaid(OpenedTrade calldata trade) external;

    /// @notice Lets the base go to the buyer and returns both bonds: Open, Paid or Disputed. By the seller itself.
    function release(OpenedTrade calldata trade) external;

    /// @notice Returns the base to the seller, and its own bond to each side less what the buyer pays for it:
    /// nothing in the first `graceS` seconds of Open, by the buyer or its session; half of the bond later in Open, and in Paid,
    /// by the buyer itself; all of it in Open once the time to pay is over, by anyone.
    function cancel(OpenedTrade calldata trade) external;

    /// @notice Calls the arbitrator: Paid; by the seller or its session, or by anyone once the time to confirm is over.
    function dispute(OpenedTrade calldata trade) external;

    /// @notice Splits the base and the two bonds: Disputed, strictly before the time to decide is over. By the arbitrator.
    /// @param sellerBaseBps Hundredths of a percent of the base for the seller, rounded down; the rest is the buyer's.
    /// @param sellerBondsBps The same of both bonds together; 5000 gives each side its own back.
    function resolve(OpenedTrade calldata trade, uint256 sellerBaseBps, uint256 sellerBondsBps) external;

    /// @notice Halves the base, the odd unit to the buyer, and returns both bonds: Disputed, once the time to decide is over.
    /// By anyone.
    function resolveByDefault(OpenedTrade calldata trade) external;

    /// @notice Where a trade stands, since when (unix seconds), and what its terms hash to (208 bits).
    function recordOf(TicketDigest ticket) external view returns (EscrowState state, uint64 since, bytes26 commitment);

    /// @notice The vault that holds the funds.
    function vault() external view returns (IOrrangeVault);

    /// @notice The contract that opens trades.
    function settlement() external view returns (address);

    /// @notice Seconds from Open in which the buyer may cancel for free.
    function graceS() external view returns (uint64);

    /// @notice Seconds from Open in which the buyer is to pay and say so.
    function payS() external view returns (uint64);

    /// @notice Seconds from Paid in which the seller is to release or dispute.
    function confirmS() external view returns (uint64);

    /// @notice Seconds from Disputed in which the arbitrator is to decide.
    function arbitrationS() external view returns (uint64);

    /// @notice What losing a whole bond that is not in the fee token counts for in the loser's record; micro-units.
    function disputeDue() external view returns (uint96);
}
