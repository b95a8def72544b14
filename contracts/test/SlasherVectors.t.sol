// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {OrrangeSlasher} from "../src/OrrangeSlasher.sol";
import {OrrangeVault} from "../src/OrrangeVault.sol";
import {IOrrangeSettlement} from "../src/interfaces/IOrrangeSettlement.sol";
import {FeedEntry, SignedEntry, SignedTicket} from "../src/interfaces/IOrrangeSlasher.sol";
import {Evidence} from "../src/libraries/Evidence.sol";
import {MarketId, Order, OrderId, VaultSettings} from "../src/types/OrrangeTypes.sol";
import {SlasherCbor} from "./support/SlasherCbor.sol";
import {SlasherFixture} from "./support/SlasherFixture.sol";

/// @notice The slasher convicts whom protocol/vectors/peers/evidence.json does, of that, and nobody else.
/// Spec: 08-peers [EVID-1], [EVID-2].
contract SlasherVectorsTest is SlasherFixture {
    using SlasherCbor for SlasherCbor.Reader;

    uint256 private constant FORK = 1;
    uint256 private constant OVER_SIGNING = 2;

    string private json;
    uint256 private convicted;
    uint256 private refused;

    function test_typeString() public view {
        string memory text = vm.readFile("../protocol/eip712.json");
        string memory expected = "FeedEntry(";
        for (uint256 i = 0; i < 7; ++i) {
            string memory field = string.concat(".types.FeedEntry[", vm.toString(i), "]");
            string memory kind = vm.parseJsonString(text, string.concat(field, ".type"));
            string memory label = vm.parseJsonString(text, string.concat(field, ".name"));
            expected = string.concat(expected, i == 0 ? "" : ",", kind, " ", label);
        }
        assertFalse(vm.keyExistsJson(text, ".types.FeedEntry[7]"));
        assertEq(string(Evidence.FEED_ENTRY_TYPE), string.concat(expected, ")"));
    }

    function test_entryHash() public {
        json = vm.readFile("../protocol/vectors/eip712/feed_entry.json");
        for (uint256 i = 0; vm.keyExistsJson(json, _case(i)); ++i) {
            vm.chainId(vm.parseJsonUint(json, string.concat(_case(i), ".domain.chainId")));
            _deploy(vm.parseJsonAddress(json, string.concat(_case(i), ".domain.verifyingContract")), 0, 1000, 60);
            string memory message = string.concat(_case(i), ".message.");
            FeedEntry memory entry = FeedEntry({
                session: vm.parseJsonAddress(json, string.concat(message, "session")),
                owner: vm.parseJsonAddress(json, string.concat(message, "owner")),
                market: MarketId.wrap(vm.parseJsonBytes32(json, string.concat(message, "market"))),
                seq: uint64(vm.parseJsonUint(json, string.concat(message, "seq"))),
                prevHash: vm.parseJsonBytes32(json, string.concat(message, "prevHash")),
                epoch: uint64(vm.parseJsonUint(json, string.concat(message, "epoch"))),
                itemsRoot: vm.parseJsonBytes32(json, string.concat(message, "itemsRoot"))
            });
            assertEq(slasher.entryHash(entry), vm.parseJsonBytes32(json, string.concat(_case(i), ".digest")));
            convicted += 1;
        }
        assertGt(convicted, 0, "no cases");
    }

    function test_evidence() public {
        json = vm.readFile("../protocol/vectors/peers/evidence.json");
        vm.chainId(vm.parseJsonUint(json, ".domain.chain_id"));
        vm.warp(2_000_000_000);
        _deploy(
            vm.parseJsonAddress(json, ".domain.settlement"),
            uint64(vm.parseJsonUint(json, ".genesis_ms")),
            uint64(vm.parseJsonUint(json, ".constants.epoch_ms")),
            uint64(vm.parseJsonUint(json, ".constants.d"))
        );
        uint256 snapshot = vm.snapshotState();
        for (uint256 i = 0; vm.keyExistsJson(json, _case(i)); ++i) {
            (uint256 yes, uint256 no) = (convicted, refused);
            bool isProof = _judge(i);
            vm.revertToState(snapshot);
            (convicted, refused) = isProof ? (yes + 1, no) : (yes, no + 1);
            snapshot = vm.snapshotState();
        }
        assertGe(convicted, 7, "expected more that convicts");
        assertGe(refused, 12, "expected more that proves nothing");
    }

    /// @dev Brings the piece to the slasher and sees that it convicts whom the case names, or is refused.
    function _judge(uint256 index) private returns (bool isProof) {
        string memory proves = string.concat(_case(index), ".proves");
        isProof = vm.keyExistsJson(json, string.concat(proves, ".session"));
        SlasherCbor.Reader memory reader;
        reader.data = vm.parseJsonBytes(json, string.concat(_case(index), ".encoded"));
        reader.list();
        uint256 kind = reader.number();
        if (kind != FORK && kind != OVER_SIGNING) return false; // what the chain itself says needs no slasher
        (address accused, bytes memory call) = kind == FORK ? _forkCall(reader) : _overSigningCall(reader);
        vm.prank(owner);
        vault.authoriseSession(accused, 1, 2_000_000_001);
        (bool isTaken,) = address(slasher).call(call);
        assertEq(isTaken, isProof, vm.parseJsonString(json, string.concat(_case(index), ".name")));
        if (!isProof) return false;
        assertEq(accused, vm.parseJsonAddress(json, string.concat(proves, ".session")));
        MarketId market = MarketId.wrap(vm.parseJsonBytes32(json, string.concat(proves, ".market")));
        assertTrue(slasher.isSlashed(accused, market, kind == OVER_SIGNING));
    }

    function _forkCall(SlasherCbor.Reader memory reader) private view returns (address, bytes memory) {
        SignedEntry memory first = _entry(reader);
        SignedEntry memory second = _entry(reader);
        return (first.entry.session, abi.encodeCall(slasher.proveFork, (first, second, reporter)));
    }

    function _overSigningCall(SlasherCbor.Reader memory reader) private view returns (address, bytes memory) {
        address accused = reader.account();
        SignedTicket memory first = _signed(reader);
        SignedTicket memory second = _signed(reader);
        return (accused, abi.encodeCall(slasher.proveOverSigning, (accused, first, second, reporter)));
    }

    function _entry(SlasherCbor.Reader memory reader) private pure returns (SignedEntry memory signed) {
        assertEq(reader.list(), 8);
        signed.entry.session = reader.account();
        signed.entry.owner = reader.account();
        signed.entry.market = MarketId.wrap(reader.word());
        signed.entry.seq = reader.number();
        signed.entry.prevHash = reader.word();
        signed.entry.epoch = reader.number();
        signed.entry.itemsRoot = reader.word();
        signed.signature = reader.text();
    }

    function _signed(SlasherCbor.Reader memory reader) private pure returns (SignedTicket memory signed) {
        assertEq(reader.list(), 4);
        _readTicket(reader, signed);
        signed.signature = reader.text();
        _readOrder(reader, signed.maker);
        _readOrder(reader, signed.taker);
    }

    function _readTicket(SlasherCbor.Reader memory reader, SignedTicket memory signed) private pure {
        assertEq(reader.list(), 15);
        signed.ticket.makerOrder = OrderId.wrap(reader.word());
        signed.ticket.takerOrder = OrderId.wrap(reader.word());
        signed.ticket.priceTicks = reader.number();
        signed.ticket.makerFrom = reader.number();
        signed.ticket.makerTo = reader.number();
        signed.ticket.takerFrom = reader.number();
        signed.ticket.takerTo = reader.number();
        signed.ticket.epoch = reader.number();
        signed.ticket.deadline = reader.number();
        signed.ticket.ticketNonce = reader.number();
        signed.ticket.kind = uint8(reader.number());
        signed.ticket.paymentMethod = uint32(reader.number());
        signed.ticket.arbitrator = reader.account();
        signed.ticket.security = uint8(reader.number());
        signed.ticket.group = reader.word();
    }

    function _readOrder(SlasherCbor.Reader memory reader, Order memory order) private pure {
        assertEq(reader.list(), 15);
        order.market = MarketId.wrap(reader.word());
        order.owner = reader.account();
        order.session = reader.account();
        order.nonce = reader.number();
        order.side = uint8(reader.number());
        order.kind = uint8(reader.number());
        order.priceTicks = reader.number();
        order.quantityLots = reader.number();
        order.tif = uint8(reader.number());
        order.expiry = reader.number();
        order.postOnly = reader.flag();
        order.minTier = uint8(reader.number());
        order.paymentMethods = new uint32[](reader.list());
        for (uint256 i = 0; i < order.paymentMethods.length; ++i) {
            order.paymentMethods[i] = uint32(reader.number());
        }
        order.arbitrators = new address[](reader.list());
        for (uint256 i = 0; i < order.arbitrators.length; ++i) {
            order.arbitrators[i] = reader.account();
        }
        order.security = uint8(reader.number());
    }

    /// @dev A vault, the settlement of the domain at its address, and the slasher.
    function _deploy(address target, uint64 genesisMs, uint64 epochMs, uint64 ticketLifeS) private {
        vault = new OrrangeVault(
            VaultSettings({
                settlement: target,
                escrow: address(0),
                slasher: vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1),
                bondToken: address(0),
                bondUnit: 1,
                deallocationDelay: 1_000,
                unbondingDelay: UNBONDING_S
            })
        );
        bytes memory settings = abi.encode(settlementSettings(address(vault), genesisMs, epochMs, ticketLifeS));
        deployCodeTo("OrrangeSettlement.sol:OrrangeSettlement", settings, target);
        settlement = IOrrangeSettlement(target);
        slasher = newSlasher(SHARE_BPS);
    }

    function _case(uint256 index) private pure returns (string memory) {
        return string.concat(".cases[", vm.toString(index), "]");
    }
}
