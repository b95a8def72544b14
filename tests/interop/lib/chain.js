// What the chain says up to a block: session records, allocations, settled trades ([BOOK-1], [FUND-1], [FUND-4]).

export const baseAmount = (market, lots) => lots * market.lotSize;
export const quoteAmount = (market, priceTicks, lots) => priceTicks * market.tickSize * lots;

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

// The last block old enough for an epoch, null while no later one is known ([BOOK-1]).
export function fundBlock(blocks, clock, epoch) {
  const limit = clock.startS(epoch) - clock.lFund;
  const at = blocks.findLastIndex((block) => block.timeS <= limit);
  return at < 0 || at === blocks.length - 1 ? null : blocks[at];
}

// Sums up the facts of a market up to a block.
export class ChainView {
  constructor(blocks, block, marketId, market) {
    this.sessions = new Map();
    this.revoked = new Set();
    this.trades = [];
    this.allocations = new Map();
    this.market = market;
    for (const { facts } of blocks.filter(({ number }) => number <= block.number)) {
      for (const fact of facts) this[fact.kind](fact, marketId);
    }
  }

  SessionAuthorised(fact) {
    if (!this.sessions.has(fact.session)) this.sessions.set(fact.session, fact);
  }

  SessionRevoked({ session }) {
    this.revoked.add(session);
  }

  FundsChanged({ owner, market, token, delta }, marketId) {
    if (market === marketId) this.move(owner, token, delta);
  }

  TradeSettled(trade, marketId) {
    if (trade.market !== marketId) return;
    this.trades.push(trade);
    const { makerOwner, takerOwner, isMakerBuyer } = trade;
    const [buyer, seller] = isMakerBuyer ? [makerOwner, takerOwner] : [takerOwner, makerOwner];
    const lots = trade.makerTo - trade.makerFrom;
    const [base, quote] = [baseAmount(this.market, lots), quoteAmount(this.market, trade.priceTicks, lots)];
    this.move(seller, this.market.base, -base);
    this.move(buyer, this.market.base, base);
    this.move(buyer, this.market.quote, -quote);
    this.move(seller, this.market.quote, quote);
  }

  move(owner, token, delta) {
    this.allocations.set(owner + token, this.allocation(owner, token) + delta);
  }

  allocation(owner, token) {
    return this.allocations.get(owner + token) ?? 0n;
  }
}
