// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Test} from "forge-std/Test.sol";

import {OrrangeSettlement} from "../../src/OrrangeSettlement.sol";
import {OrrangeSlasher} from "../../src/OrrangeSlasher.sol";
import {OrrangeVault} from "../../src/OrrangeVault.sol";
import {TestToken} from "../../src/dev/TestToken.sol";
import {IOrrangeSettlement} from "../../src/interfaces/IOrrangeSettlement.sol";
import {FeedEntry, SignedEntry, SignedTicket} from "../../src/interfaces/IOrrangeSlasher.sol";
import {TypedData} from "../../src/libraries/TypedData.sol";
import {MarketId, Order, OrderId, SettlementSettings, Ticket, VaultSettings} from "../../src/types/OrrangeTypes.sol";

/// @dev Lets memory structs reach the library, which reads calldata.
contract Hasher {
    function hash(Order calldata order) external pure returns (bytes32) {
        return TypedData.hash(order);
    }

    function hash(Ticket calldata ticket) external pure returns (bytes32) {
        return TypedData.hash(ticket);
    }
}

/// @dev The real vault and slasher, an owner with a bond and a session that signs whatever a test asks for.
abstract contract SlasherFixture is Test {
    uint64 internal constant START_S = 1_700_500_000;
    uint64 internal constant GENESIS_MS = 1_700_000_000_123;
    uint64 internal constant EPOCH_MS = 500;
    uint64 internal constant TICKET_LIFE_S = 60;
    uint64 internal constant FUND_LAG_S = 2;
    uint64 internal constant WINDOW_S = 1_000;
    uint64 internal constant UNBONDING_S = 1_063;
    uint64 internal constant EXPIRY_S = START_S + 10_000;
    uint64 internal constant EPOCH = 1_000_001;
    uint64 internal constant EPOCH_START_S = 1_700_500_000;
    uint96 internal constant FORK_DUE = 40_001;
    uint96 internal constant OVER_SIGNING_DUE = 90_001;
    uint16 internal constant SHARE_BPS = 2_500;
    uint96 internal constant BOND = 100_000;
    uint128 internal constant BOND_UNIT = 10;
    MarketId internal constant MARKET = MarketId.wrap(keccak256("market"));
    MarketId internal constant OTHER_MARKET = MarketId.wrap(keccak256("other market"));

    address internal owner = makeAddr("owner");
    address internal otherOwner = makeAddr("other owner");
    address internal reporter = makeAddr("reporter");
    Account internal session;
    Account internal other;

    OrrangeVault internal vault;
    OrrangeSlasher internal slasher;
    IOrrangeSettlement internal settlement;
    TestToken internal fee;
    Hasher private _hasher = new Hasher();

    function setUp() public virtual {
        vm.warp(START_S);
        (session, other) = (makeAccount("session"), makeAccount("other session"));
        fee = new TestToken("Fee", "FEE", 7);
        deployNeighbours(UNBONDING_S);
        slasher = newSlasher(SHARE_BPS);
        bondAs(owner, session.addr, BOND);
        bondAs(otherOwner, other.addr, BOND);
    }

    /// @dev A vault and a settlement for the slasher that is created next.
    function deployNeighbours(uint64 unbondingDelayS) internal {
        uint64 nonce = vm.getNonce(address(this));
        vault = new OrrangeVault(
            VaultSettings({
                settlement: vm.computeCreateAddress(address(this), nonce + 1),
                escrow: address(0),
                slasher: vm.computeCreateAddress(address(this), nonce + 2),
                bondToken: address(fee),
                bondUnit: BOND_UNIT,
                deallocationDelay: 130,
                unbondingDelay: unbondingDelayS
            })
        );
        settlement = new OrrangeSettlement(settlementSettings(address(vault), GENESIS_MS, EPOCH_MS, TICKET_LIFE_S));
    }

    function settlementSettings(address vault_, uint64 genesisMs, uint64 epochMs, uint64 ticketLifeS)
        internal
        pure
        returns (SettlementSettings memory settings)
    {
        (settings.vault, settings.genesisMs, settings.epochMs) = (vault_, genesisMs, epochMs);
        (settings.ticketLifeS, settings.fundLagS) = (ticketLifeS, FUND_LAG_S);
    }

    function newSlasher(uint16 shareBps) internal returns (OrrangeSlasher) {
        return new OrrangeSlasher(vault, settlement, FORK_DUE, OVER_SIGNING_DUE, shareBps, WINDOW_S);
    }

    function bondAs(address owner_, address key, uint96 amount) internal {
        fee.mint(owner_, amount * BOND_UNIT);
        vm.startPrank(owner_);
        fee.approve(address(vault), amount * BOND_UNIT);
        vault.deposit(address(fee), amount * BOND_UNIT);
        vault.bond(amount);
        vault.authoriseSession(key, 1, EXPIRY_S);
        vm.stopPrank();
    }

    function newEntry(uint64 seq, bytes32 root) internal view returns (FeedEntry memory) {
        return FeedEntry(session.addr, owner, MARKET, seq, keccak256("previous"), EPOCH, root);
    }

    function signEntry(FeedEntry memory entry) internal view returns (SignedEntry memory) {
        return SignedEntry(entry, sign(session, slasher.entryHash(entry)));
    }

    /// @dev Two entries of the session in one place.
    function newFork() internal view returns (SignedEntry memory first, SignedEntry memory second) {
        return (signEntry(newEntry(3, "one")), signEntry(newEntry(3, "two")));
    }

    /// @dev An order of the session's; the nonce tells orders apart.
    function newOrder(address key, uint64 nonce) internal pure returns (Order memory order) {
        order.market = MARKET;
        order.session = key;
        order.nonce = nonce;
        (order.priceTicks, order.quantityLots) = (5, 100);
    }

    /// @dev Lots [0, 10) of each order; the session's is the maker's; not signed yet.
    function newTicket(Order memory maker, Order memory taker, uint64 number)
        internal
        pure
        returns (SignedTicket memory signed)
    {
        (signed.maker, signed.taker) = (maker, taker);
        signed.ticket.priceTicks = 5;
        (signed.ticket.makerTo, signed.ticket.takerTo) = (10, 10);
        (signed.ticket.epoch, signed.ticket.deadline) = (EPOCH, EPOCH_START_S + TICKET_LIFE_S);
        signed.ticket.ticketNonce = number;
    }

    /// @dev The same lots of the session's own order to two takers' orders; not signed yet.
    function newLotsTwice() internal view returns (SignedTicket memory first, SignedTicket memory second) {
        first = newTicket(newOrder(session.addr, 1), newOrder(other.addr, 1), 1);
        second = newTicket(newOrder(session.addr, 1), newOrder(other.addr, 2), 2);
    }

    /// @dev Few orders, lots, times and numbers, so that tickets often meet.
    function ticketFrom(uint256 seed) internal view returns (SignedTicket memory signed) {
        Order memory own = newOrder(session.addr, uint64(seed % 2));
        Order memory theirs = newOrder(other.addr, uint64((seed >> 8) % 2));
        bool isMaker = (seed >> 16) % 2 == 0;
        signed = newTicket(isMaker ? own : theirs, isMaker ? theirs : own, uint64((seed >> 24) % 40));
        uint64 from = uint64((seed >> 32) % 60);
        (signed.ticket.makerFrom, signed.ticket.makerTo) = (from, from + uint64((seed >> 40) % 8));
        from = uint64((seed >> 48) % 60);
        (signed.ticket.takerFrom, signed.ticket.takerTo) = (from, from + uint64((seed >> 56) % 8));
        signed.ticket.epoch = EPOCH + uint64((seed >> 64) % 40);
        signed.ticket.deadline = (GENESIS_MS + signed.ticket.epoch * EPOCH_MS) / 1000 + uint64((seed >> 72) % 12);
    }

    /// @dev Puts the order ids in and signs as `signer`.
    function signTicket(SignedTicket memory signed, Account memory signer) internal view {
        signed.ticket.makerOrder = OrderId.wrap(digestOf(_hasher.hash(signed.maker)));
        signed.ticket.takerOrder = OrderId.wrap(digestOf(_hasher.hash(signed.taker)));
        resignTicket(signed, signer);
    }

    function resignTicket(SignedTicket memory signed, Account memory signer) internal view {
        signed.signature = sign(signer, ticketDigest(signed));
    }

    function ticketDigest(SignedTicket memory signed) internal view returns (bytes32) {
        return digestOf(_hasher.hash(signed.ticket));
    }

    function digestOf(bytes32 structHash) internal view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(settlement.domainSeparator(), structHash);
    }

    function sign(Account memory signer, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(signer.key, digest);
        return abi.encodePacked(r, s, v);
    }

    function bondOf(address owner_) internal view returns (uint256 bonded) {
        (bonded,,) = vault.bondOf(owner_);
    }
}
