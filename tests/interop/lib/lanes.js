// Amounts, and what a side of a trade must have for it in each lane ([TYPE-1], 03-orders "Funds").
import { BUY } from "./orders.js";

const BOND_PERCENT = [0n, 5n, 15n, 30n];

export const baseAmount = (market, lots) => lots * market.lotSize;
export const quoteAmount = (market, priceTicks, lots) => priceTicks * market.tickSize * lots;

// {base, quote} that an order needs for lots at a price.
export function need(order, market, priceTicks, lots) {
  const quote = quoteAmount(market, priceTicks, lots);
  const base = order.side === BUY ? 0n : baseAmount(market, lots);
  if (order.security === 0n) return { base, quote: order.side === BUY ? quote : 0n };
  return { base, quote: escrowBond(quote, order.security) };
}

// What each side of an escrow puts up in quote, rounded up.
export const escrowBond = (quote, security) => (quote * BOND_PERCENT[Number(security)] + 99n) / 100n;

// What an owner has of both tokens, and what is still free of it.
export class Purse {
  constructor({ base, quote }) {
    Object.assign(this, { base, quote });
  }

  // A token that is not needed does not matter, even if it is overdrawn.
  fits({ base, quote }) {
    return (base === 0n || base <= this.base) && (quote === 0n || quote <= this.quote);
  }

  take({ base, quote }) {
    this.base -= base;
    this.quote -= quote;
  }
}
