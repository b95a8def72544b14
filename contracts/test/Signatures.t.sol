// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {OrrangeSettlement} from "../src/OrrangeSettlement.sol";
import {OrrangeVault} from "../src/OrrangeVault.sol";
import {OrderId, SkipReason, Ticket, Trade} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";

/// @notice Who may sign what, and every way in which a signature can be wrong. Reason 1 throughout.
contract SignaturesTest is Fixture {
    uint256 private constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    // every one of the four signatures, spoiled in every way

    function test_highS() public {
        _assertEachSpoiled(_makeHighS);
    }

    function test_vOfZeroOrOneInsteadOf27() public {
        _assertEachSpoiled(_lowerV);
    }

    function test_otherParity() public {
        _assertEachSpoiled(_flipV);
    }

    function test_short() public {
        _assertEachSpoiled(_shorten);
    }

    function test_long() public {
        _assertEachSpoiled(_lengthen);
    }

    function test_empty() public {
        _assertEachSpoiled(_empty);
    }

    function test_zeroRAndS() public {
        _assertEachSpoiled(_zero);
    }

    function test_compact() public {
        _assertEachSpoiled(_compact);
    }

    function _assertEachSpoiled(function(bytes memory) internal pure returns (bytes memory) spoil) private {
        for (uint256 which = 0; which < 4; ++which) {
            Trade memory trade = newSignedTrade();
            if (which == 0) trade.makerOrderSignature = spoil(trade.makerOrderSignature);
            if (which == 1) trade.takerOrderSignature = spoil(trade.takerOrderSignature);
            if (which == 2) trade.makerTicketSignature = spoil(trade.makerTicketSignature);
            if (which == 3) trade.takerTicketSignature = spoil(trade.takerTicketSignature);
            assertSkips(trade, SkipReason.Signature);
        }
        assertSettles(newSignedTrade());
    }

    function _split(bytes memory signature) private pure returns (bytes32 r, uint256 s, uint8 v) {
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
            v := byte(0, mload(add(signature, 96)))
        }
    }

    function _makeHighS(bytes memory signature) private pure returns (bytes memory) {
        (bytes32 r, uint256 s, uint8 v) = _split(signature);
        return abi.encodePacked(r, CURVE_ORDER - s, v == 27 ? uint8(28) : uint8(27));
    }

    function _lowerV(bytes memory signature) private pure returns (bytes memory) {
        (bytes32 r, uint256 s, uint8 v) = _split(signature);
        return abi.encodePacked(r, s, v - 27);
    }

    function _flipV(bytes memory signature) private pure returns (bytes memory) {
        (bytes32 r, uint256 s, uint8 v) = _split(signature);
        return abi.encodePacked(r, s, v == 27 ? uint8(28) : uint8(27));
    }

    function _shorten(bytes memory signature) private pure returns (bytes memory) {
        (bytes32 r, uint256 s,) = _split(signature);
        return abi.encodePacked(r, s);
    }

    function _lengthen(bytes memory signature) private pure returns (bytes memory) {
        return bytes.concat(signature, hex"00");
    }

    function _empty(bytes memory) private pure returns (bytes memory) {
        return "";
    }

    function _zero(bytes memory) private pure returns (bytes memory) {
        return abi.encodePacked(bytes32(0), bytes32(0), uint8(27));
    }

    /// @dev EIP-2098: the parity in the top bit of s.
    function _compact(bytes memory signature) private pure returns (bytes memory) {
        (bytes32 r, uint256 s, uint8 v) = _split(signature);
        return abi.encodePacked(r, s | (uint256(v - 27) << 255));
    }

    // the wrong signer

    function test_makerOrderSignedByAnother() public {
        Trade memory trade = newSignedTrade();
        trade.makerOrderSignature = signDigest(taker.owner, OrderId.unwrap(trade.ticket.makerOrder));
        assertSkips(trade, SkipReason.Signature);
    }

    function test_takerOrderSignedByAnother() public {
        Trade memory trade = newSignedTrade();
        trade.takerOrderSignature = signDigest(maker.owner, OrderId.unwrap(trade.ticket.takerOrder));
        assertSkips(trade, SkipReason.Signature);
    }

    function test_ticketSignedByTheOwnersThemselves() public {
        Trade memory trade = newSignedTrade();
        trade.makerTicketSignature = signDigest(maker.owner, ticketDigest(trade));
        assertSkips(trade, SkipReason.Signature);
        signTicket(trade, maker, taker);
        trade.takerTicketSignature = signDigest(taker.owner, ticketDigest(trade));
        assertSkips(trade, SkipReason.Signature);
    }

    function test_ticketSignaturesExchanged() public {
        Trade memory trade = newSignedTrade();
        (trade.makerTicketSignature, trade.takerTicketSignature) =
        (trade.takerTicketSignature, trade.makerTicketSignature);
        assertSkips(trade, SkipReason.Signature);
    }

    // sessions and scopes

    function test_orderSignedByASessionWithoutTheTradeScope() public {
        Trade memory trade = newSignedTrade();
        trade.makerOrderSignature = signDigest(maker.session, OrderId.unwrap(trade.ticket.makerOrder));
        assertSkips(trade, SkipReason.Signature);
        sign(trade);
        trade.takerOrderSignature = signDigest(taker.session, OrderId.unwrap(trade.ticket.takerOrder));
        assertSkips(trade, SkipReason.Signature);
    }

    function test_orderSignedByASessionThatMayTradeSettles() public {
        Side memory bot = _withSession(maker, "bot", TICKET | TRADE);
        Trade memory trade = newTrade();
        trade.maker.session = bot.session.addr;
        signAs(trade, bot, taker);
        trade.makerOrderSignature = signDigest(bot.session, OrderId.unwrap(trade.ticket.makerOrder));
        assertSettles(trade);
    }

    function test_orderOfASessionThatMayTradeSignedByAnybodyElse() public {
        Side memory bot = _withSession(maker, "bot", TICKET | TRADE);
        Trade memory trade = newTrade();
        trade.maker.session = bot.session.addr;
        signAs(trade, bot, taker);
        trade.makerOrderSignature = signDigest(makeAccount("stranger"), OrderId.unwrap(trade.ticket.makerOrder));
        assertSkips(trade, SkipReason.Signature);
        trade.makerOrderSignature = signDigest(maker.session, OrderId.unwrap(trade.ticket.makerOrder));
        assertSkips(trade, SkipReason.Signature); // another session of the same owner
    }

    function test_sessionWithTradeAloneCannotSignTickets() public {
        Side memory bot = _withSession(maker, "bot", TRADE);
        Trade memory trade = newTrade();
        trade.maker.session = bot.session.addr;
        signAs(trade, bot, taker);
        assertSkips(trade, SkipReason.Signature);
    }

    function test_orderSignedByAnotherSessionOfItsOwner() public {
        Side memory bot = _withSession(maker, "bot", TICKET | TRADE);
        Trade memory trade = newSignedTrade(); // names the first session
        trade.makerOrderSignature = signDigest(bot.session, OrderId.unwrap(trade.ticket.makerOrder));
        assertSkips(trade, SkipReason.Signature);
    }

    function test_unknownSessions() public {
        Side memory stranger = maker;
        stranger.session = makeAccount("never authorised");
        Trade memory trade = newTrade();
        trade.maker.session = stranger.session.addr;
        signAs(trade, stranger, taker);
        assertSkips(trade, SkipReason.Signature);
    }

    function test_sessionOfAnotherOwner() public {
        Side memory thief = _withSession(newSide("thief"), "thief's bot", TICKET | TRADE);
        Trade memory trade = newTrade();
        trade.maker.session = thief.session.addr; // the order names maker.owner
        signAs(trade, thief, taker);
        trade.makerOrderSignature = signDigest(thief.session, OrderId.unwrap(trade.ticket.makerOrder));
        assertSkips(trade, SkipReason.Signature);
        trade.makerOrderSignature = signDigest(maker.owner, OrderId.unwrap(trade.ticket.makerOrder));
        assertSkips(trade, SkipReason.Signature);
    }

    function test_zeroOwnerAndSession() public {
        Trade memory trade = newTrade();
        (trade.maker.owner, trade.maker.session) = (address(0), address(0));
        sign(trade);
        trade.makerOrderSignature = trade.makerTicketSignature = _zero("");
        assertSkips(trade, SkipReason.Signature);
    }

    function test_tradeWithOneself() public {
        fund(maker.owner.addr, quote, QUOTE_FUNDS);
        Side memory other = _withSession(maker, "second session", TICKET);
        Trade memory trade = newTrade();
        trade.taker = newOrder(other, BUY);
        signAs(trade, maker, other);
        assertSkips(trade, SkipReason.Signature);
    }

    function _withSession(Side memory side, string memory name, uint8 scope) private returns (Side memory result) {
        result = Side(side.owner, makeAccount(name));
        vm.prank(side.owner.addr);
        vault.authoriseSession(result.session.addr, scope, MATCHED_S + 10_000);
    }

    // what was signed

    function test_orderChangedAfterSigning() public {
        Trade memory trade = newSignedTrade();
        trade.maker.priceTicks -= 1;
        assertSkips(trade, SkipReason.Signature);
    }

    function test_ticketForOtherOrders() public {
        Trade memory trade = newSignedTrade();
        trade.ticket.makerOrder = OrderId.wrap(bytes32(uint256(1)));
        signTicket(trade, maker, taker);
        assertSkips(trade, SkipReason.Signature);
        sign(trade);
        trade.ticket.takerOrder = OrderId.wrap(bytes32(uint256(1)));
        signTicket(trade, maker, taker);
        assertSkips(trade, SkipReason.Signature);
    }

    function test_skippingAForgedCopyDoesNotVoidTheTicket() public {
        Trade memory trade = newSignedTrade();
        bytes memory genuine = trade.takerTicketSignature;
        trade.takerTicketSignature = trade.makerTicketSignature;
        assertSkips(trade, SkipReason.Signature); // under the genuine digest
        trade.takerTicketSignature = genuine;
        assertSettles(trade);
    }

    /// @dev One bit of any field that is signed voids the trade.
    function testFuzz_anyChangedTicketFieldVoids(uint256 field, uint8 bit) public {
        Trade memory trade = newSignedTrade();
        field = bound(field, 0, 14);
        uint8[15] memory widths = [255, 255, 64, 64, 64, 64, 64, 64, 64, 64, 8, 32, 160, 8, 255];
        uint256 mask = 1 << bound(bit, 0, widths[field] - 1);
        bytes memory encoded = abi.encode(trade.ticket);
        assembly ("memory-safe") {
            let word := add(add(encoded, 32), mul(field, 32))
            mstore(word, xor(mload(word), mask))
        }
        trade.ticket = abi.decode(encoded, (Ticket));
        assertSkips(trade, SkipReason.Signature);
    }

    // replay elsewhere

    function test_replayOnAnotherChain() public {
        Trade memory trade = newSignedTrade();
        bytes32 before = ticketDigest(trade);
        vm.chainId(block.chainid + 1);
        assertNotEq(ticketDigest(trade), before);
        assertSkips(trade, SkipReason.Signature);

        // The ids, the market's too, made anew for this chain do not bring the old signatures back.
        trade.maker.market = trade.taker.market = settlement.marketId(market);
        trade.ticket.makerOrder = settlement.orderId(trade.maker);
        trade.ticket.takerOrder = settlement.orderId(trade.taker);
        assertSkips(trade, SkipReason.Signature);
    }

    function test_replayOnAnotherSettlement() public {
        Trade memory trade = newSignedTrade();
        (OrrangeVault otherVault, OrrangeSettlement other) = deploy();
        vm.prank(maker.owner.addr);
        otherVault.authoriseSession(maker.session.addr, TICKET, MATCHED_S + 10_000);
        vm.prank(taker.owner.addr);
        otherVault.authoriseSession(taker.session.addr, TICKET, MATCHED_S + 10_000);
        assertNotEq(other.domainSeparator(), settlement.domainSeparator());
        settlement = other;
        assertSkips(trade, SkipReason.Signature);
    }
}
