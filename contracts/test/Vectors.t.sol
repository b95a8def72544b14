// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {OrrangeSettlement} from "../src/OrrangeSettlement.sol";
import {OrrangeVault} from "../src/OrrangeVault.sol";
import {TypedData} from "../src/libraries/TypedData.sol";
import {
    Market,
    MarketId,
    Order,
    OrderId,
    SettlementSettings,
    Ticket,
    TicketDigest,
    VaultSettings
} from "../src/types/OrrangeTypes.sol";

/// @dev Lets memory structs reach the library, which reads calldata.
contract TypedDataCaller {
    function hash(Market calldata market) external pure returns (bytes32) {
        return TypedData.hash(market);
    }

    function hash(Order calldata order) external pure returns (bytes32) {
        return TypedData.hash(order);
    }

    function hash(Ticket calldata ticket) external pure returns (bytes32) {
        return TypedData.hash(ticket);
    }
}

/// @notice The contracts hash structs as protocol/vectors/eip712 says, and their type strings are those of
/// protocol/eip712.json. Spec: 01-types [SIGN-1], [SIGN-2].
contract VectorsTest is Test {
    TypedDataCaller private caller = new TypedDataCaller();
    string private json;
    string private at; // JSON path of the case at hand

    function test_typeStrings() public {
        json = vm.readFile("../protocol/eip712.json");
        assertEq(string(TypedData.MARKET_TYPE), _typeString("Market"));
        assertEq(string(TypedData.ORDER_TYPE), _typeString("Order"));
        assertEq(string(TypedData.TICKET_TYPE), _typeString("Ticket"));
    }

    function test_domainNameAndVersion() public {
        json = vm.readFile("../protocol/eip712.json");
        OrrangeSettlement settlement = _deploy(address(0xa11ce));
        (, string memory name, string memory version, uint256 chainId, address verifying,,) = settlement.eip712Domain();
        assertEq(name, vm.parseJsonString(json, ".domain.name"));
        assertEq(version, vm.parseJsonString(json, ".domain.version"));
        assertEq(chainId, block.chainid);
        assertEq(verifying, address(settlement));
    }

    function test_market() public {
        json = vm.readFile("../protocol/vectors/eip712/market.json");
        for (uint256 i = 0; _hasCase(i); ++i) {
            Market memory market = Market({
                base: _address("base"),
                quote: _address("quote"),
                lotSize: uint96(_uint("lotSize")),
                tickSize: uint96(_uint("tickSize")),
                minFillLots: uint64(_uint("minFillLots"))
            });
            assertEq(caller.hash(market), _expected(".struct_hash"));
            assertEq(MarketId.unwrap(_deployCase().marketId(market)), _expected(".digest"));
        }
    }

    function test_order() public {
        json = vm.readFile("../protocol/vectors/eip712/order.json");
        for (uint256 i = 0; _hasCase(i); ++i) {
            Order memory order = _order();
            assertEq(caller.hash(order), _expected(".struct_hash"));
            assertEq(OrderId.unwrap(_deployCase().orderId(order)), _expected(".digest"));
        }
    }

    function test_ticket() public {
        json = vm.readFile("../protocol/vectors/eip712/ticket.json");
        for (uint256 i = 0; _hasCase(i); ++i) {
            Ticket memory ticket = _ticket();
            assertEq(caller.hash(ticket), _expected(".struct_hash"));
            assertEq(TicketDigest.unwrap(_deployCase().ticketDigest(ticket)), _expected(".digest"));
        }
    }

    function _order() private view returns (Order memory order) {
        order.market = MarketId.wrap(_bytes32("market"));
        order.owner = _address("owner");
        order.session = _address("session");
        order.nonce = uint64(_uint("nonce"));
        order.side = uint8(_uint("side"));
        order.kind = uint8(_uint("kind"));
        order.priceTicks = uint64(_uint("priceTicks"));
        order.quantityLots = uint64(_uint("quantityLots"));
        order.tif = uint8(_uint("tif"));
        order.expiry = uint64(_uint("expiry"));
        order.postOnly = vm.parseJsonBool(json, _field("postOnly"));
        order.minTier = uint8(_uint("minTier"));
        uint256[] memory methods = vm.parseJsonUintArray(json, _field("paymentMethods"));
        order.paymentMethods = new uint32[](methods.length);
        for (uint256 i = 0; i < methods.length; ++i) {
            order.paymentMethods[i] = uint32(methods[i]);
        }
        order.arbitrators = vm.parseJsonAddressArray(json, _field("arbitrators"));
        order.security = uint8(_uint("security"));
    }

    function _ticket() private view returns (Ticket memory ticket) {
        ticket.makerOrder = OrderId.wrap(_bytes32("makerOrder"));
        ticket.takerOrder = OrderId.wrap(_bytes32("takerOrder"));
        ticket.priceTicks = uint64(_uint("priceTicks"));
        ticket.makerFrom = uint64(_uint("makerFrom"));
        ticket.makerTo = uint64(_uint("makerTo"));
        ticket.takerFrom = uint64(_uint("takerFrom"));
        ticket.takerTo = uint64(_uint("takerTo"));
        ticket.epoch = uint64(_uint("epoch"));
        ticket.deadline = uint64(_uint("deadline"));
        ticket.ticketNonce = uint64(_uint("ticketNonce"));
        ticket.kind = uint8(_uint("kind"));
        ticket.paymentMethod = uint32(_uint("paymentMethod"));
        ticket.arbitrator = _address("arbitrator");
        ticket.security = uint8(_uint("security"));
        ticket.group = _bytes32("group");
    }

    /// @dev Moves to the case; a file without a first case is a mistake.
    function _hasCase(uint256 index) private returns (bool) {
        at = string.concat(".cases[", vm.toString(index), "]");
        bool exists = vm.keyExistsJson(json, at);
        assertTrue(exists || index > 0, "no cases");
        return exists;
    }

    /// @dev The settlement of the case's domain: its chain, its address.
    function _deployCase() private returns (OrrangeSettlement) {
        vm.chainId(vm.parseJsonUint(json, string.concat(at, ".domain.chainId")));
        return _deploy(vm.parseJsonAddress(json, string.concat(at, ".domain.verifyingContract")));
    }

    function _deploy(address target) private returns (OrrangeSettlement) {
        VaultSettings memory settings = VaultSettings(target, address(0), address(0), address(0), 1, 100, 100);
        address vault = address(new OrrangeVault(settings));
        SettlementSettings memory terms = SettlementSettings(vault, address(0), 0, 1000, 60, 2, 0, 0, address(0), 0);
        deployCodeTo("OrrangeSettlement.sol:OrrangeSettlement", abi.encode(terms), target);
        return OrrangeSettlement(target);
    }

    /// @dev encodeType of a struct that names no other struct.
    function _typeString(string memory name) private view returns (string memory text) {
        string memory fields = string.concat(".types.", name);
        text = string.concat(name, "(");
        for (uint256 i = 0; true; ++i) {
            string memory field = string.concat(fields, "[", vm.toString(i), "]");
            if (!vm.keyExistsJson(json, field)) break;
            string memory kind = vm.parseJsonString(json, string.concat(field, ".type"));
            string memory label = vm.parseJsonString(json, string.concat(field, ".name"));
            text = string.concat(text, i == 0 ? "" : ",", kind, " ", label);
        }
        return string.concat(text, ")");
    }

    function _field(string memory name) private view returns (string memory) {
        return string.concat(at, ".message.", name);
    }

    function _uint(string memory name) private view returns (uint256) {
        return vm.parseJsonUint(json, _field(name));
    }

    function _address(string memory name) private view returns (address) {
        return vm.parseJsonAddress(json, _field(name));
    }

    function _bytes32(string memory name) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, _field(name));
    }

    function _expected(string memory key) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, string.concat(at, key));
    }
}
