// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";

import {OrrangeSettlement} from "../../src/OrrangeSettlement.sol";
import {OrrangeVault} from "../../src/OrrangeVault.sol";
import {TestToken} from "../../src/dev/TestToken.sol";
import {IOrrangeSettlement} from "../../src/interfaces/IOrrangeSettlement.sol";
import {
    Market,
    MarketId,
    Order,
    OrderId,
    SkipReason,
    SettlementSettings,
    Ticket,
    TicketDigest,
    Trade,
    VaultSettings
} from "../../src/types/OrrangeTypes.sol";
import {RecordingEscrow} from "./RecordingEscrow.sol";

/// @dev A deployment, two funded owners with sessions, and builders for trades: the default trade settles, so that each
/// test changes the one thing it is about and signs again.
abstract contract Fixture is Test {
    /// @dev Who signs for one side.
    struct Side {
        Account owner;
        Account session;
    }

    // Not a whole second: the contract rounds matched times down.
    uint64 internal constant GENESIS_MS = 1_700_000_000_123;
    uint64 internal constant EPOCH_MS = 500;
    uint64 internal constant TICKET_LIFE_S = 60;
    uint64 internal constant FUND_LAG_S = 2;
    uint64 internal constant DELAY_S = 130;
    uint64 internal constant UNBONDING_S = 1_000;
    uint128 internal constant BOND_UNIT = 2; // the quote token is the fee token
    uint96 internal constant PENALTY = 40; // micro-units
    uint64 internal constant EPOCH = 1_000_001;
    uint64 internal constant MATCHED_S = 1_700_500_000; // (GENESIS_MS + EPOCH * EPOCH_MS) / 1000

    uint96 internal constant LOT_SIZE = 1e15;
    uint96 internal constant TICK_SIZE = 10;
    uint64 internal constant MIN_FILL_LOTS = 5;
    uint64 internal constant PRICE_TICKS = 2_500;
    uint64 internal constant LOTS = 10;
    uint256 internal constant BASE_FUNDS = 1_000 * uint256(LOT_SIZE);
    uint256 internal constant QUOTE_FUNDS = 1_000 * uint256(PRICE_TICKS) * TICK_SIZE;

    uint8 internal constant BUY = 0;
    uint8 internal constant SELL = 1;
    uint8 internal constant IOC = 1;
    uint8 internal constant FOK = 2;
    uint8 internal constant TICKET = 1;
    uint8 internal constant TRADE = 2;

    OrrangeVault internal vault;
    OrrangeSettlement internal settlement;
    RecordingEscrow internal escrow;
    address internal slasher = makeAddr("slasher");
    address internal sink = makeAddr("sink");
    address[] internal guilty; // whom the last `outcome` recorded as defaulting, in order
    TestToken internal base;
    TestToken internal quote;
    Market internal market;
    MarketId internal marketId;
    Side internal maker; // sells
    Side internal taker; // buys
    uint64 private _nonce;

    function setUp() public virtual {
        vm.warp(MATCHED_S - 1000);
        base = new TestToken("Base", "BASE", 18);
        quote = new TestToken("Quote", "QUOTE", 6);
        escrow = new RecordingEscrow();
        (vault, settlement) = deploy();
        market = Market(address(base), address(quote), LOT_SIZE, TICK_SIZE, MIN_FILL_LOTS);
        marketId = settlement.marketId(market);
        maker = newSide("maker");
        taker = newSide("taker");
        fund(maker.owner.addr, base, BASE_FUNDS);
        fund(taker.owner.addr, quote, QUOTE_FUNDS);
        vm.warp(MATCHED_S + 3);
    }

    function deploy() internal returns (OrrangeVault vault_, OrrangeSettlement settlement_) {
        address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        vault_ = new OrrangeVault(vaultSettings(next));
        settlement_ = new OrrangeSettlement(settlementSettings(address(vault_)));
        assertEq(address(settlement_), next);
    }

    function vaultSettings(address settlement_) internal view virtual returns (VaultSettings memory) {
        return VaultSettings({
            settlement: settlement_,
            escrow: address(escrow),
            slasher: slasher,
            bondToken: address(quote),
            bondUnit: BOND_UNIT,
            deallocationDelay: DELAY_S,
            unbondingDelay: UNBONDING_S
        });
    }

    function settlementSettings(address vault_) internal view virtual returns (SettlementSettings memory) {
        return SettlementSettings({
            vault: vault_,
            escrow: address(escrow),
            genesisMs: GENESIS_MS,
            epochMs: EPOCH_MS,
            ticketLifeS: TICKET_LIFE_S,
            fundLagS: FUND_LAG_S,
            feePpm: 0,
            sinkSharePpm: 0,
            sink: sink,
            penalty: PENALTY
        });
    }

    function newSide(string memory name) internal returns (Side memory side) {
        side.owner = makeAccount(string.concat(name, " owner"));
        side.session = makeAccount(string.concat(name, " session"));
        vm.prank(side.owner.addr);
        vault.authoriseSession(side.session.addr, TICKET, MATCHED_S + 10_000);
    }

    /// @dev Deposits and allocates to the default market.
    function fund(address owner, TestToken token, uint256 amount) internal {
        token.mint(owner, amount);
        vm.startPrank(owner);
        token.approve(address(vault), amount);
        vault.deposit(address(token), amount);
        vault.allocate(marketId, address(token), amount);
        vm.stopPrank();
    }

    function newOrder(Side memory side, uint8 direction) internal returns (Order memory order) {
        order.market = marketId;
        order.owner = side.owner.addr;
        order.session = side.session.addr;
        order.nonce = _nonce++;
        order.side = direction;
        order.priceTicks = PRICE_TICKS;
        order.quantityLots = LOTS;
        order.expiry = MATCHED_S + 1;
    }

    /// @dev The maker sells ten lots to the taker; not signed yet.
    function newTrade() internal returns (Trade memory trade) {
        trade.market = market;
        trade.maker = newOrder(maker, SELL);
        trade.taker = newOrder(taker, BUY);
        trade.ticket.priceTicks = PRICE_TICKS;
        trade.ticket.makerTo = LOTS;
        trade.ticket.takerTo = LOTS;
        trade.ticket.epoch = EPOCH;
        trade.ticket.deadline = MATCHED_S + TICKET_LIFE_S;
        trade.ticket.ticketNonce = _nonce++;
    }

    /// @dev Makes it a trade by escrow in that lane, with one payment method and one arbitrator that both take.
    function toEscrow(Trade memory trade, uint8 security) internal {
        (trade.ticket.kind, trade.ticket.security) = (1, security);
        (trade.ticket.paymentMethod, trade.ticket.arbitrator) = (7, makeAddr("arbitrator"));
        trade.maker.security = trade.taker.security = security;
        trade.maker.paymentMethods = trade.taker.paymentMethods = new uint32[](2);
        trade.maker.paymentMethods[1] = 7;
        trade.maker.arbitrators = trade.taker.arbitrators = new address[](2);
        trade.maker.arbitrators[1] = trade.ticket.arbitrator;
    }

    /// @dev What each side puts up, rounded up.
    function bondOf(uint256 quoteTotal, uint8 security) internal pure returns (uint256) {
        uint8[4] memory percent = [0, 5, 15, 30];
        return (quoteTotal * percent[security] + 99) / 100;
    }

    function newSignedTrade() internal returns (Trade memory trade) {
        trade = newTrade();
        sign(trade);
    }

    /// @dev Puts the order ids into the ticket and signs all four parts as the default sides.
    function sign(Trade memory trade) internal view {
        signAs(trade, maker, taker);
    }

    function signAs(Trade memory trade, Side memory makerSide, Side memory takerSide) internal view {
        trade.ticket.makerOrder = settlement.orderId(trade.maker);
        trade.ticket.takerOrder = settlement.orderId(trade.taker);
        trade.makerOrderSignature = signDigest(makerSide.owner, OrderId.unwrap(trade.ticket.makerOrder));
        trade.takerOrderSignature = signDigest(takerSide.owner, OrderId.unwrap(trade.ticket.takerOrder));
        signTicket(trade, makerSide, takerSide);
    }

    function signTicket(Trade memory trade, Side memory makerSide, Side memory takerSide) internal view {
        bytes32 digest = ticketDigest(trade);
        trade.makerTicketSignature = signDigest(makerSide.session, digest);
        trade.takerTicketSignature = signDigest(takerSide.session, digest);
    }

    /// @dev The taker's fill-or-kill order takes ten lots from a new order of each maker; not signed yet.
    function newGroup(Side[] memory makers) internal returns (Trade[] memory legs) {
        legs = new Trade[](makers.length);
        Order memory order = newOrder(taker, BUY);
        order.tif = FOK;
        order.quantityLots = uint64(makers.length) * LOTS;
        for (uint64 i = 0; i < legs.length; ++i) {
            legs[i] = newTrade();
            legs[i].maker = newOrder(makers[i], SELL);
            legs[i].taker = order;
            (legs[i].ticket.takerFrom, legs[i].ticket.takerTo) = (i * LOTS, (i + 1) * LOTS);
        }
    }

    /// @dev So many times the default maker.
    function sameMaker(uint256 count) internal view returns (Side[] memory makers) {
        makers = new Side[](count);
        for (uint256 i = 0; i < count; ++i) {
            makers[i] = maker;
        }
    }

    function newSignedGroup(uint256 count) internal returns (Trade[] memory legs) {
        Side[] memory makers = sameMaker(count);
        legs = newGroup(makers);
        signGroup(legs, makers, taker);
    }

    /// @dev Puts order ids and the group into the tickets and signs everything.
    function signGroup(Trade[] memory legs, Side[] memory makers, Side memory takerSide) internal view {
        for (uint256 i = 0; i < legs.length; ++i) {
            signAs(legs[i], makers[i], takerSide);
        }
        bytes32 group = groupOf(legs);
        for (uint256 i = 0; i < legs.length; ++i) {
            legs[i].ticket.group = group;
            signTicket(legs[i], makers[i], takerSide);
        }
    }

    function groupOf(Trade[] memory legs) internal view returns (bytes32) {
        Ticket[] memory tickets = new Ticket[](legs.length);
        for (uint256 i = 0; i < legs.length; ++i) {
            tickets[i] = legs[i].ticket;
        }
        return settlement.groupDigest(tickets);
    }

    function signDigest(Account memory account, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(account.key, digest);
        return abi.encodePacked(r, s, v);
    }

    function ticketDigest(Trade memory trade) internal view returns (bytes32) {
        return TicketDigest.unwrap(settlement.ticketDigest(trade.ticket));
    }

    function settleOne(Trade memory trade) internal {
        Trade[] memory trades = new Trade[](1);
        trades[0] = trade;
        settlement.settle(trades);
    }

    function assertSettles(Trade memory trade) internal {
        assertEq(uint8(outcome(trade)), uint8(SkipReason.None), "expected to settle, was skipped");
    }

    /// @dev Settles and asserts the skip, its event, and that nothing at all was written and nobody accused.
    function assertSkips(Trade memory trade, SkipReason reason) internal {
        vm.startStateDiffRecording();
        SkipReason actual = outcome(trade);
        assertNothingWritten(vm.stopAndReturnStateDiff());
        assertEq(uint8(actual), uint8(reason), "expected another skip reason");
        assertEq(guilty.length, 0, "expected nobody to default");
    }

    /// @dev Settles and asserts the skip and the one side that cannot keep the ticket, once; then takes all of it back.
    function assertDefaults(Trade memory trade, SkipReason reason, Side memory side) internal {
        uint256 before = vm.snapshotState();
        assertEq(uint8(outcome(trade)), uint8(reason), "expected another skip reason");
        assertEq(guilty.length, 1, "expected one side to default");
        assertEq(guilty[0], side.owner.addr, "expected the other side to default");
        assertSkips(trade, SkipReason.Replay);
        assertTrue(vm.revertToStateAndDelete(before));
    }

    /// @dev Settles alone and reads the events: None for completed or opened, else the reason and who is guilty.
    function outcome(Trade memory trade) internal returns (SkipReason) {
        vm.recordLogs();
        settleOne(trade);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs[0].emitter, address(settlement));
        assertEq(logs[0].topics[1], ticketDigest(trade), "expected the ticket's digest");
        delete guilty;
        if (logs[0].topics[0] == IOrrangeSettlement.TradeCompleted.selector) {
            assertEq(logs.length, 1, "expected one event a trade");
            return SkipReason.None;
        }
        if (logs[0].topics[0] == IOrrangeSettlement.TradeCreated.selector) return SkipReason.None;
        assertEq(logs[0].topics[0], IOrrangeSettlement.TradeSkipped.selector);
        _readGuilty(logs);
        return abi.decode(logs[0].data, (SkipReason));
    }

    function _readGuilty(Vm.Log[] memory logs) private {
        for (uint256 i = 1; i < logs.length; ++i) {
            if (logs[i].emitter != address(settlement)) continue;
            assertEq(logs[i].topics[0], IOrrangeSettlement.Defaulted.selector, "expected nothing but defaults");
            assertEq(logs[i].topics[1], logs[0].topics[1], "expected the ticket's digest");
            guilty.push(address(uint160(uint256(logs[i].topics[2]))));
        }
    }

    function assertGroupSettles(Trade[] memory legs) internal {
        (SkipReason reason,) = groupOutcome(legs);
        assertEq(uint8(reason), uint8(SkipReason.None), "expected the group to settle, was skipped");
    }

    /// @dev Settles a group and asserts which leg is named, why, and that nothing at all was written.
    function assertGroupSkips(Trade[] memory legs, uint256 index, SkipReason expected) internal {
        vm.startStateDiffRecording();
        (SkipReason reason, bytes32 ticket) = groupOutcome(legs);
        assertNothingWritten(vm.stopAndReturnStateDiff());
        assertEq(uint8(reason), uint8(expected), "expected another skip reason");
        assertEq(ticket, ticketDigest(legs[index]), "expected another leg");
        assertEq(guilty.length, 0, "expected nobody to default");
    }

    /// @dev Settles a group and asserts the leg and the one side of it that cannot keep it; then takes all of it back.
    function assertGroupDefaults(Trade[] memory legs, uint256 index, SkipReason expected, Side memory side) internal {
        uint256 before = vm.snapshotState();
        (SkipReason reason, bytes32 ticket) = groupOutcome(legs);
        assertEq(uint8(reason), uint8(expected), "expected another skip reason");
        assertEq(ticket, ticketDigest(legs[index]), "expected another leg");
        assertEq(guilty.length, 1, "expected one side to default");
        assertEq(guilty[0], side.owner.addr, "expected the other side to default");
        assertGroupSkips(legs, index, SkipReason.Replay);
        assertTrue(vm.revertToStateAndDelete(before));
    }

    /// @dev Settles a group and reads its events: None and each leg's in order, or one with the reason and the leg.
    function groupOutcome(Trade[] memory legs) internal returns (SkipReason, bytes32) {
        delete guilty;
        vm.recordLogs();
        settlement.settleGroup(legs);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        if (logs[0].topics[0] == IOrrangeSettlement.TradeSkipped.selector) {
            _readGuilty(logs);
            return (abi.decode(logs[0].data, (SkipReason)), logs[0].topics[1]);
        }
        assertEq(logs.length, legs.length, "expected one event a leg");
        for (uint256 i = 0; i < legs.length; ++i) {
            assertEq(logs[i].topics[0], IOrrangeSettlement.TradeCompleted.selector);
            assertEq(logs[i].topics[1], ticketDigest(legs[i]), "expected the leg's digest");
        }
        return (SkipReason.None, bytes32(0));
    }

    function assertNothingWritten(Vm.AccountAccess[] memory accesses) internal pure {
        for (uint256 i = 0; i < accesses.length; ++i) {
            for (uint256 j = 0; j < accesses[i].storageAccesses.length; ++j) {
                assertFalse(accesses[i].storageAccesses[j].isWrite, "what was skipped wrote state");
            }
        }
    }

    function allocated(Side memory side, TestToken token) internal view returns (uint256) {
        return vault.allocation(side.owner.addr, marketId, address(token));
    }

    function quoteAmount(uint256 priceTicks, uint256 lots) internal pure returns (uint256) {
        return priceTicks * TICK_SIZE * lots;
    }
}
