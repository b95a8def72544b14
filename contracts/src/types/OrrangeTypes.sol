// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @dev EIP-712 digest of a `Market`.
type MarketId is bytes32;

/// @dev EIP-712 digest of an `Order`.
type OrderId is bytes32;

/// @dev EIP-712 digest of a `Ticket`.
type TicketDigest is bytes32;

using {sameMarket as ==} for MarketId global;
using {sameOrder as ==} for OrderId global;

function sameMarket(MarketId a, MarketId b) pure returns (bool) {
    return MarketId.unwrap(a) == MarketId.unwrap(b);
}

function sameOrder(OrderId a, OrderId b) pure returns (bool) {
    return OrderId.unwrap(a) == OrderId.unwrap(b);
}

/// @notice A pair of tokens with its units. Spec: protocol/eip712.json.
struct Market {
    address base;
    address quote;
    uint96 lotSize; // base units a lot
    uint96 tickSize; // quote units a lot and tick
    uint64 minFillLots; // no order is smaller
}

/// @notice An order as its owner signs it. Enumerations are plain integers: an unknown value is skipped, not reverted.
struct Order {
    MarketId market;
    address owner;
    address session;
    uint64 nonce;
    uint8 side; // 0 buy, 1 sell
    uint8 kind; // 0 limit, 1 protected market
    uint64 priceTicks;
    uint64 quantityLots;
    uint8 tif; // 0 GTC, 1 IOC, 2 FOK, 3 DAY, 4 GTD
    uint64 expiry; // unix seconds, 0 means none, which only a GTC may have
    bool postOnly;
    uint8 minTier;
    uint32[] paymentMethods;
    address[] arbitrators;
    uint8 security;
}

/// @notice An agreed trade: lots `[makerFrom, makerTo)` of one order against `[takerFrom, takerTo)` of another.
struct Ticket {
    OrderId makerOrder;
    OrderId takerOrder;
    uint64 priceTicks;
    uint64 makerFrom;
    uint64 makerTo;
    uint64 takerFrom;
    uint64 takerTo;
    uint64 epoch;
    uint64 deadline; // unix seconds
    uint64 ticketNonce; // of the taker's session
    uint8 kind; // 0 atomic from the vault, 1 by escrow
    uint32 paymentMethod;
    address arbitrator;
    uint8 security;
    bytes32 group; // zero, or what all legs of one FOK order hash to
}

/// @notice Everything that settles one ticket.
struct Trade {
    Market market;
    Order maker;
    Order taker;
    Ticket ticket;
    bytes makerOrderSignature;
    bytes takerOrderSignature;
    bytes makerTicketSignature;
    bytes takerTicketSignature;
}

/// @notice What a trade's structs hash to, computed once.
struct TradeDigests {
    MarketId market;
    OrderId maker;
    OrderId taker;
    TicketDigest ticket;
}

/// @notice What an owner let a session key do. `owner` is zero for a key never registered, `revokedAt` is zero until the
/// key, or every key of its owner, was revoked.
struct Session {
    address owner;
    uint8 scope; // bits: 1 TICKET, 2 TRADE
    uint64 expiry; // unix seconds
    uint64 revokedAt; // unix seconds
    bool isCapped; // some token has a cap
}

/// @notice The most of a token that a session may ever spend.
struct TokenCap {
    address token;
    uint128 amount; // token units, at least 1
}

/// @notice What a session can do in a market with a token.
struct Standing {
    Session session;
    uint256 allocation; // token units of the session's owner
    uint256 capLeft; // token units; the largest number if the session has no cap for the token
}

/// @notice A trade as the vault pays it, inside one market.
struct Payment {
    MarketId market;
    address seller;
    address buyer;
    address sellerSession; // zero if it has no caps to count against
    address buyerSession; // likewise
    address base;
    address quote;
    uint256 baseAmount;
    uint256 quoteAmount; // what the buyer gives
    uint256 fee; // part of it that the seller does not get
    uint256 sinkFee; // part of the fee that the sink gets, the submitter the rest
    address submitter;
    address sink;
}

/// @notice What the vault locks for an escrow: base of the seller and a bond in quote of each side.
struct EscrowFunds {
    MarketId market;
    address seller;
    address buyer;
    address sellerSession; // zero if it has no caps to count against
    address buyerSession; // likewise
    address base;
    address quote;
    uint256 baseAmount;
    uint256 bondAmount;
}

/// @notice What a vault is deployed with. The addresses are computed before: the contracts refer to each other.
struct VaultSettings {
    address settlement;
    address escrow;
    address slasher;
    address bondToken; // the network's fee token; zero for the native coin
    uint128 bondUnit; // token units in a micro-unit, a millionth of the fee token
    uint64 deallocationDelay; // seconds
    uint64 unbondingDelay; // seconds
}

/// @notice What a settlement contract is deployed with.
struct SettlementSettings {
    address vault; // deployed before, with the settlement's address
    address escrow; // its address computed before
    uint64 genesisMs; // when epoch 0 starts, in unix milliseconds
    uint64 epochMs; // length of an epoch
    uint64 ticketLifeS; // D, the longest life of a ticket
    uint64 fundLagS; // L_fund, how far behind an epoch the chain facts lie that nodes act on
    uint32 feePpm; // millionths of the quote amount that the seller does not get
    uint32 sinkSharePpm; // millionths of the fee that the sink gets, the submitter the rest
    address sink;
    uint96 penalty; // the least that a default costs, micro-units of the fee token
}

/// @notice Why a trade was skipped; the numbers are those of protocol/spec/01-types.md. The settlement says in which order it checks.
enum SkipReason {
    None, // settled
    Signature, // an order or the ticket is not signed by whom it must be, or one owner is on both sides
    Market, // an order names another market, or the market's units or tokens make no sense
    Validity, // order or session not alive when matched, matched in the future, or an order without the expiry it needs
    Deadline, // past, before the matched time, or further from it than a ticket lives
    Replay, // the ticket number of the taker's session has settled
    Limits, // sides, prices, or an order below the market's minimum
    Overfill, // ranges of lots that do not fit each other or the orders, or more lots than are left
    Funds, // seller's base or buyer's quote allocated to the market does not cover it
    Grouped, // alone though part of a group or of a FOK order, or a group that is not what its tickets say
    Kind, // an order or ticket of a kind that is not settled here, two that do not go together, or a maker's order that never rests
    Cap, // a session would spend more of a token than it may
    Cancelled // an order was cancelled on the chain early enough
}
