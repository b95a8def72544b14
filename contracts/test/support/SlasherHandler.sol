// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SignedEntry, SignedTicket} from "../../src/interfaces/IOrrangeSlasher.sol";
import {SlasherFixture} from "./SlasherFixture.sol";
import {SlasherRules} from "./SlasherRules.sol";

/// @dev A session that signs as [FEED] and [TICK-10] say, whatever it is asked to, and an accuser that brings any two
/// things that it signed.
contract SlasherHandler is SlasherFixture {
    SignedEntry[] private _entries;
    SignedTicket[] private _tickets;
    uint256 public accusations;

    constructor() {
        setUp();
    }

    function append(uint256 market, bytes32 root) external {
        SignedEntry memory signed;
        signed.entry = newEntry(uint64(_entries.length / 2), root);
        if (market % 2 == 1) signed.entry.market = OTHER_MARKET;
        for (uint256 i = 0; i < _entries.length; ++i) {
            bool isOfMarket = _entries[i].entry.market == signed.entry.market;
            if (isOfMarket && _entries[i].entry.seq == signed.entry.seq) return; // it was said already
        }
        _entries.push(signEntry(signed.entry));
    }

    /// @dev Signs unless the rule forbids it beside what it has signed.
    function ticket(uint256 seed) external {
        SignedTicket memory signed = ticketFrom(seed);
        for (uint256 i = 0; i < _tickets.length; ++i) {
            if (SlasherRules.forbids(_tickets[i], signed, session.addr, GENESIS_MS, EPOCH_MS)) return;
        }
        signTicket(signed, session);
        _tickets.push(signed);
    }

    function accuseOfFork(uint256 first, uint256 second) external {
        if (_entries.length == 0) return;
        (first, second) = (first % _entries.length, second % _entries.length);
        _accuse(abi.encodeCall(slasher.proveFork, (_entries[first], _entries[second], reporter)));
    }

    function accuseOfOverSigning(uint256 first, uint256 second, bool isOfOther) external {
        if (_tickets.length == 0) return;
        (first, second) = (first % _tickets.length, second % _tickets.length);
        address accused = isOfOther ? other.addr : session.addr;
        _accuse(abi.encodeCall(slasher.proveOverSigning, (accused, _tickets[first], _tickets[second], reporter)));
    }

    function signedCounts() external view returns (uint256 entries, uint256 tickets) {
        return (_entries.length, _tickets.length);
    }

    function assertInnocent() external view {
        assertEq(bondOf(owner), BOND);
        assertEq(bondOf(otherOwner), BOND);
    }

    function _accuse(bytes memory call) private {
        (bool isConvicted,) = address(slasher).call(call);
        assertFalse(isConvicted, "convicted an honest signer");
        accusations += 1;
    }
}
