// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {OrrangeEscrow} from "../src/OrrangeEscrow.sol";
import {EscrowState, IOrrangeEscrow, OpenedTrade} from "../src/interfaces/IOrrangeEscrow.sol";
import {TicketDigest, Trade} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";

/// @notice Settlement, vault and the real escrow together: a settled ticket of kind 1 is an open trade, which ends in balances.
contract EscrowSettlingTest is Fixture {
    uint256 private constant TOTAL = uint256(PRICE_TICKS) * TICK_SIZE * LOTS;
    uint256 private constant BOND = TOTAL * 15 / 100;

    OrrangeEscrow private trades;
    address private seller;
    address private buyer;

    function setUp() public override {
        super.setUp();
        bytes memory arguments = abi.encode(vault, 60, 3_600, 7_200, 86_400, 1);
        deployCodeTo("OrrangeEscrow.sol:OrrangeEscrow", arguments, address(escrow));
        trades = OrrangeEscrow(address(escrow));
        (seller, buyer) = (maker.owner.addr, taker.owner.addr);
        fund(seller, quote, 10 * BOND);
    }

    function test_aSettledTicketIsAnOpenTrade() public {
        Trade memory trade = _newEscrowTrade();
        OpenedTrade memory opened = _terms(trade);
        vm.recordLogs();
        settleOne(trade);
        _assertTold(vm.getRecordedLogs(), opened);
        _assertState(opened, EscrowState.Open);
        assertEq(allocated(maker, base), BASE_FUNDS - LOTS * LOT_SIZE);
        assertEq(allocated(taker, quote), QUOTE_FUNDS - BOND);
    }

    function test_paidAndReleased() public {
        OpenedTrade memory opened = _open();
        vm.prank(buyer);
        trades.markPaid(opened);
        vm.prank(seller);
        trades.release(opened);
        _assertPaidOut(0, BOND);
    }

    function test_notPaidInTime() public {
        OpenedTrade memory opened = _open();
        vm.warp(block.timestamp + 3_600);
        trades.cancel(opened);
        _assertPaidOut(LOTS * LOT_SIZE, 2 * BOND);
    }

    function test_disputedAndSplit() public {
        OpenedTrade memory opened = _open();
        vm.prank(buyer);
        trades.markPaid(opened);
        vm.prank(seller);
        trades.dispute(opened);
        vm.prank(opened.arbitrator);
        trades.resolve(opened, 2_500, 0);
        _assertPaidOut(LOTS * LOT_SIZE / 4, 0);
    }

    /// @dev A batch goes on past a trade by escrow, and each ticket opens its own.
    function test_aBatchOfTradesByEscrow() public {
        Trade[] memory batch = new Trade[](3);
        for (uint256 i = 0; i < 3; ++i) {
            batch[i] = _newEscrowTrade();
        }
        settlement.settle(batch);
        for (uint256 i = 0; i < 3; ++i) {
            _assertState(_terms(batch[i]), EscrowState.Open);
        }
        assertEq(vault.lockedBalance(address(quote)), 6 * BOND);
    }

    function _newEscrowTrade() private returns (Trade memory trade) {
        trade = newTrade();
        toEscrow(trade, 2);
        sign(trade);
    }

    function _open() private returns (OpenedTrade memory opened) {
        Trade memory trade = _newEscrowTrade();
        settleOne(trade);
        return _terms(trade);
    }

    function _terms(Trade memory trade) private view returns (OpenedTrade memory) {
        return OpenedTrade({
            ticket: TicketDigest.wrap(ticketDigest(trade)),
            market: marketId,
            seller: seller,
            buyer: buyer,
            base: address(base),
            quote: address(quote),
            baseAmount: LOTS * LOT_SIZE,
            bondAmount: BOND,
            paymentMethod: trade.ticket.paymentMethod,
            arbitrator: trade.ticket.arbitrator,
            security: 2,
            matchedAt: MATCHED_S
        });
    }

    /// @dev What the escrow tells is what its steps want back.
    function _assertTold(Vm.Log[] memory logs, OpenedTrade memory opened) private view {
        Vm.Log memory log = logs[logs.length - 1];
        assertEq(log.emitter, address(trades));
        assertEq(log.topics[0], IOrrangeEscrow.EscrowOpened.selector);
        bytes memory told = abi.encodePacked(log.topics[1], _word(log.data, 0), log.topics[2], log.topics[3]);
        for (uint256 i = 1; i < 9; ++i) {
            told = bytes.concat(told, _word(log.data, i));
        }
        assertEq(told, abi.encode(opened));
    }

    function _word(bytes memory encoded, uint256 index) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(encoded, mul(32, add(index, 1))))
        }
    }

    function _assertState(OpenedTrade memory opened, EscrowState expected) private view {
        (EscrowState state,, bytes26 commitment) = trades.recordOf(opened.ticket);
        assertEq(uint8(state), uint8(expected));
        assertEq(commitment, bytes26(keccak256(abi.encode(opened))));
    }

    /// @dev Of one trade and nothing else.
    function _assertPaidOut(uint256 sellerBase, uint256 sellerQuote) private view {
        assertEq(vault.freeBalance(seller, address(base)), sellerBase);
        assertEq(vault.freeBalance(buyer, address(base)), LOTS * LOT_SIZE - sellerBase);
        assertEq(vault.freeBalance(seller, address(quote)), sellerQuote);
        assertEq(vault.freeBalance(buyer, address(quote)), 2 * BOND - sellerQuote);
        assertEq(vault.lockedBalance(address(base)) + vault.lockedBalance(address(quote)), 0);
    }
}
