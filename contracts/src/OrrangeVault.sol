// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IOrrangeVault} from "./interfaces/IOrrangeVault.sol";
import {EscrowFunds, MarketId, Payment, Session, Standing, VaultSettings} from "./types/OrrangeTypes.sol";
import {Balances} from "./vault/Balances.sol";
import {Bonds} from "./vault/Bonds.sol";
import {SessionRegister} from "./vault/SessionRegister.sol";

/// @title The vault
/// @dev Balances, bonds and sessions, each in a contract of its own under vault/; here is what the other contracts may
/// do with them. Where tokens move or balances change, the guard is on; only `withdraw` and `deposit` call outside.
contract OrrangeVault is Bonds, SessionRegister {
    address private immutable SETTLEMENT;
    address private immutable ESCROW;
    address private immutable SLASHER;

    constructor(VaultSettings memory settings)
        Balances(settings.deallocationDelay)
        Bonds(settings.bondToken, settings.bondUnit, settings.unbondingDelay)
    {
        SETTLEMENT = settings.settlement;
        ESCROW = settings.escrow;
        SLASHER = settings.slasher;
    }

    /// @inheritdoc IOrrangeVault
    function move(Payment calldata payment) external nonReentrant {
        if (msg.sender != SETTLEMENT) revert NotSettlement(msg.sender);
        MarketId market = payment.market;
        _spend(market, payment.base, payment.seller, payment.sellerSession, payment.baseAmount);
        _credit(market, payment.base, payment.buyer, payment.baseAmount);
        _spend(market, payment.quote, payment.buyer, payment.buyerSession, payment.quoteAmount);
        _credit(market, payment.quote, payment.seller, payment.quoteAmount - payment.fee);
        if (payment.fee == 0) return;
        _creditFree(payment.submitter, payment.quote, payment.fee - payment.sinkFee);
        _creditFree(payment.sink, payment.quote, payment.sinkFee);
    }

    /// @inheritdoc IOrrangeVault
    function lock(EscrowFunds calldata funds) external nonReentrant {
        if (msg.sender != SETTLEMENT) revert NotSettlement(msg.sender);
        MarketId market = funds.market;
        _spend(market, funds.base, funds.seller, funds.sellerSession, funds.baseAmount);
        _spend(market, funds.quote, funds.seller, funds.sellerSession, funds.bondAmount);
        _spend(market, funds.quote, funds.buyer, funds.buyerSession, funds.bondAmount);
        _lock(funds.base, funds.baseAmount);
        _lock(funds.quote, 2 * funds.bondAmount);
        emit Locked(market, funds.seller, funds.buyer, funds.base, funds.quote, funds.baseAmount, funds.bondAmount);
    }

    /// @inheritdoc IOrrangeVault
    function release(address token, address to, uint256 amount) external nonReentrant {
        if (msg.sender != ESCROW) revert NotEscrow(msg.sender);
        _unlock(token, amount);
        _creditFree(to, token, amount);
        emit Released(to, token, amount);
    }

    /// @inheritdoc IOrrangeVault
    function slash(address owner, uint256 amountDue, address beneficiary, uint256 shareBps)
        external
        nonReentrant
        returns (uint256 taken)
    {
        if (msg.sender != SETTLEMENT && msg.sender != SLASHER) revert NotSlasher(msg.sender);
        return _slash(owner, amountDue, beneficiary, shareBps);
    }

    /// @inheritdoc IOrrangeVault
    function standings(
        MarketId market,
        address makerSession,
        address makerToken,
        address takerSession,
        address takerToken
    ) external view returns (Standing memory maker, Standing memory taker) {
        return (_standing(market, makerSession, makerToken), _standing(market, takerSession, takerToken));
    }

    /// @inheritdoc IOrrangeVault
    function settlement() external view returns (address) {
        return SETTLEMENT;
    }

    /// @inheritdoc IOrrangeVault
    function escrow() external view returns (address) {
        return ESCROW;
    }

    /// @inheritdoc IOrrangeVault
    function slasher() external view returns (address) {
        return SLASHER;
    }

    function _standing(MarketId market, address key, address token) private view returns (Standing memory) {
        Session memory record = _session(key);
        return Standing({
            session: record,
            allocation: allocation(record.owner, market, token),
            capLeft: record.isCapped ? _capLeft(key, token) : type(uint256).max
        });
    }

    function _spend(MarketId market, address token, address owner, address key, uint256 amount) private {
        _debit(market, token, owner, amount);
        if (key != address(0)) _countSpent(key, token, amount);
    }
}
