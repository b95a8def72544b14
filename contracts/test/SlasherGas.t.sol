// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SignedEntry, SignedTicket} from "../src/interfaces/IOrrangeSlasher.sol";
import {SlasherFixture} from "./support/SlasherFixture.sol";

/// @notice What proofs cost as transactions of their own; written to snapshots/slasher.json and compared in CI.
/// forge-config: default.isolate = true
contract SlasherGasTest is SlasherFixture {
    function test_proveFork() public {
        (SignedEntry memory first, SignedEntry memory second) = newFork();
        slasher.proveFork(first, second, reporter);
        vm.snapshotGasLastCall("slasher", "prove_fork");
    }

    function test_proveOverSigning() public {
        (SignedTicket memory first, SignedTicket memory second) = newLotsTwice();
        signTicket(first, session);
        signTicket(second, session);
        slasher.proveOverSigning(session.addr, first, second, reporter);
        vm.snapshotGasLastCall("slasher", "prove_over_signing");
    }
}
