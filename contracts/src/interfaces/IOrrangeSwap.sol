// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice Names a swap: the digest of all its terms, of the chain and of the contract.
type SwapId is bytes32;

/// @notice What a swap is, whole. `token` zero is the chain's own coin; `amount` is in the token's smallest units.
/// `hashlock` is the sha256 of a preimage of exactly 32 bytes; `deadline` is in unix seconds; `nonce` tells apart swaps
/// that are equal in everything else.
struct SwapTerms {
    address token;
    uint256 amount;
    address recipient;
    address refundee;
    bytes32 hashlock;
    uint64 deadline;
    uint64 nonce;
}

/// @notice Where a swap stands. Claimed and Refunded are final.
enum SwapState {
    None,
    Open,
    Claimed,
    Refunded
}

/// @title Hash-time-locked swaps
/// @notice One half of a trade between two chains. Before the deadline the preimage, and from the deadline on nothing,
/// is needed to credit the recipient or the refundee. Anyone may do either: whom it credits was fixed at the start.
/// There is no owner, no pause and no upgrade. A preimage opens every swap of its hashlock: use each once a trade.
interface IOrrangeSwap {
    /// @notice The contract holds the swap's amount. All terms are told, so that the swap can be found and ended.
    event SwapOpened(
        SwapId indexed swap,
        address indexed recipient,
        address indexed refundee,
        address token,
        uint256 amount,
        bytes32 hashlock,
        uint64 deadline,
        uint64 nonce
    );
    /// @notice The recipient was credited; the preimage is public now.
    event SwapClaimed(SwapId indexed swap, address indexed recipient, address indexed refundee, bytes32 preimage);
    /// @notice The refundee was credited.
    event SwapRefunded(SwapId indexed swap, address indexed recipient, address indexed refundee);
    /// @notice `amount` of the owner's credit left the contract.
    event CreditWithdrawn(address indexed owner, address indexed token, uint256 amount);

    /// @notice An amount of nothing.
    error ZeroAmount();
    /// @notice Recipient and refundee must be accounts.
    error ZeroAccount();
    /// @notice The deadline is not in the future.
    error DeadlinePassed(uint64 deadline, uint256 time);
    /// @notice The coin sent along is not what the terms name.
    error WrongValue(uint256 expected, uint256 value);
    /// @notice The token delivered something else than the amount: such a token cannot be swapped.
    error WrongAmountReceived(address token, uint256 expected, uint256 received);
    /// @notice A swap of these terms was opened before.
    error SwapExists(SwapId swap);
    /// @notice The swap is not open: it never was, or it has ended.
    error SwapNotOpen(SwapId swap, SwapState state);
    /// @notice Claims end strictly before the deadline.
    error ClaimTooLate(uint64 deadline, uint256 time);
    /// @notice Refunds start at the deadline.
    error RefundTooEarly(uint64 deadline, uint256 time);
    /// @notice The preimage's sha256 is not the hashlock.
    error WrongPreimage(bytes32 hashlock, bytes32 hash);
    /// @notice The credit does not cover the amount.
    error InsufficientCredit(address owner, address token, uint256 available, uint256 requested);
    /// @notice The account did not take the coin.
    error CoinRefused(address owner, uint256 amount);

    /// @notice Takes the amount from the caller and locks it under the terms. For the coin, send it along.
    function open(SwapTerms calldata terms) external payable returns (SwapId swap);

    /// @notice Credits the recipient, against the preimage, strictly before the deadline.
    function claim(SwapTerms calldata terms, bytes32 preimage) external;

    /// @notice Credits the refundee, at the deadline or after.
    function refund(SwapTerms calldata terms) external;

    /// @notice Sends `amount` of the caller's credit to the caller.
    function withdraw(address token, uint256 amount) external;

    /// @notice The swap of these terms.
    function swapId(SwapTerms calldata terms) external view returns (SwapId);

    /// @notice Where a swap stands.
    function stateOf(SwapId swap) external view returns (SwapState);

    /// @notice What `owner` can withdraw at once.
    function creditOf(address owner, address token) external view returns (uint256);
}
