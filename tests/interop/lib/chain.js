// What the chain says up to a block: session records, allocations, settled trades, bonds and defaults ([BOOK-1],
// [FUND-1], [FUND-4], [FUND-7]).
import { baseAmount, escrowBond, Purse, quoteAmount } from "./lanes.js";

// Epochs and seconds of a preset ([TYPE-2]).
export class Clock {
  constructor(constants, genesisMs) {
    Object.assign(this, { ...constants, genesisMs });
  }

  startMs(epoch) {
    return this.genesisMs + epoch * this.epochMs;
  }

  startS(epoch) {
    return this.startMs(epoch) / 1000n;
  }
}

// The last block with a time of at most `limitS`, null if there is none or while no later block is known.
export function blockAt(blocks, limitS) {
  const at = blocks.findLastIndex((block) => block.timeS <= limitS);
  return at < 0 || at === blocks.length - 1 ? null : blocks[at];
}

// [BOOK-1]
export const fundBlock = (blocks, clock, epoch) => blockAt(blocks, clock.startS(epoch) - clock.lFund);

// Sums up the facts of a market up to a block; without a block there are none.
export class ChainView {
  constructor(blocks, block, marketId, market) {
    Object.assign(this, { block, market, sessions: new Map(), revoked: new Set(), trades: [] });
    Object.assign(this, { moved: new Map(), bonds: new Map(), defaults: [] });
    Object.assign(this, { cancelled: new Set(), floors: [] });
    for (const { timeS, facts } of blocks.filter(({ number }) => block !== null && number <= block.number)) {
      for (const fact of facts) this[fact.kind]?.(fact, { marketId, timeS });
    }
    this.settled = new Set(this.trades.map(({ ticket }) => ticket));
  }

  SessionAuthorised(fact) {
    if (!this.sessions.has(fact.session)) this.sessions.set(fact.session, fact);
  }

  SessionRevoked({ session }) {
    this.revoked.add(session);
  }

  OrderCancelled({ owner, order }) {
    this.cancelled.add(owner + order);
  }

  OrdersCancelled(fact) {
    this.floors.push(fact);
  }

  FundsChanged({ owner, market, token, delta }, { marketId }) {
    if (market === marketId) this.move(owner, token, delta);
  }

  BondChanged({ owner, amount }) {
    this.bonds.set(owner, amount);
  }

  Defaulted({ owner }, { timeS }) {
    this.defaults.push({ owner, timeS });
  }

  TradeSettled(trade, { marketId }) {
    if (trade.market !== marketId) return;
    this.trades.push(trade);
    const { makerOwner, takerOwner, isMakerBuyer } = trade;
    const [buyer, seller] = isMakerBuyer ? [makerOwner, takerOwner] : [takerOwner, makerOwner];
    const lots = trade.makerTo - trade.makerFrom;
    const [base, quote] = [baseAmount(this.market, lots), quoteAmount(this.market, trade.priceTicks, lots)];
    this.move(seller, this.market.base, -base);
    if (trade.security > 0n) {
      const bond = escrowBond(quote, trade.security);
      for (const side of [seller, buyer]) this.move(side, this.market.quote, -bond);
      return;
    }
    this.move(buyer, this.market.base, base);
    this.move(buyer, this.market.quote, -quote);
    this.move(seller, this.market.quote, quote - trade.fee);
  }

  move(owner, token, delta) {
    this.moved.set(owner + token, (this.moved.get(owner + token) ?? 0n) + delta);
  }

  // What an owner has in the market ([FUND-1]).
  purse(owner) {
    const { base, quote } = this.market;
    return new Purse({ base: this.moved.get(owner + base) ?? 0n, quote: this.moved.get(owner + quote) ?? 0n });
  }

  // The lot ranges of an order that settled, all of one that was cancelled on the chain ([HOLD-5]).
  settledRanges(id, order) {
    if (this.isCancelled(id, order)) return [[0n, order.quantityLots]];
    const asMaker = this.trades
      .filter(({ makerOrder }) => makerOrder === id)
      .map((one) => [one.makerFrom, one.makerTo]);
    const asTaker = this.trades
      .filter(({ takerOrder }) => takerOrder === id)
      .map((one) => [one.takerFrom, one.takerTo]);
    return [...asMaker, ...asTaker];
  }

  isCancelled(id, { owner, session, nonce }) {
    const isBelow = (floor) => floor.owner === owner && floor.session === session && nonce <= floor.nonce;
    return this.cancelled.has(owner + id) || this.floors.some(isBelow);
  }

  // Whether an owner is in default at the block ([FUND-7]).
  isInDefault(owner, periodS) {
    return this.defaults.some((one) => one.owner === owner && this.block.timeS < one.timeS + periodS);
  }
}
