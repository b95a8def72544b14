// The book of an epoch and its bytes ([BOOK-1..3], [FUND-1..4]).
import { ChainView, baseAmount, fundBlock, quoteAmount } from "./chain.js";
import { encode } from "./cbor.js";
import { by, feedsOf } from "./feeds.js";
import { Holds, freeRanges, lotsOf } from "./holds.js";
import { isStillOpen, ordersOf } from "./orders.js";

const BUY = 0n;
const SCOPE_TICKET = 1n;
const SCOPE_TRADE = 2n;

function isLeftIn(epoch) {
  return (feed) => {
    const cut = feed.standing.findIndex((entry) => entry.epoch > epoch);
    return cut < 0 ? feed : { ...feed, standing: feed.standing.slice(0, cut) };
  };
}

// Whether an order's session may trade ([FUND-4]); the orders of the dead may not ([BOOK-3]).
function maySession({ order, isSessionSigned, isDead }, chain, epochStartS) {
  const record = chain.sessions.get(order.session);
  if (isDead || !record || record.owner !== order.owner || chain.revoked.has(order.session)) return false;
  const scope = isSessionSigned ? SCOPE_TICKET | SCOPE_TRADE : SCOPE_TICKET;
  return (record.scope & scope) === scope && record.expiry > epochStartS;
}

// What a side of a trade gives: a buyer quote, a seller base.
function need(side, market, priceTicks, lots) {
  if (side === BUY) return { token: market.quote, amount: quoteAmount(market, priceTicks, lots) };
  return { token: market.base, amount: baseAmount(market, lots) };
}

// What is left of an owner's allocation once its live holds have reserved theirs ([FUND-2]).
function afterHolds(holds, chain, market) {
  const left = new Map(chain.allocations);
  const settled = new Set(chain.trades.map(({ ticket }) => ticket));
  const once = new Map(holds.map((hold) => [hold.digest + hold.side, hold]));
  for (const { digest, ticket, order } of once.values()) {
    if (settled.has(digest)) continue;
    const { token, amount } = need(order.order.side, market, ticket.priceTicks, ticket.makerTo - ticket.makerFrom);
    const key = order.order.owner + token;
    left.set(key, (left.get(key) ?? 0n) - amount);
  }
  return left;
}

// Live orders take from what is left in their order; returns the ids of those that are funded ([FUND-3]).
function fundedOrders(orders, left, market) {
  const funded = new Set();
  const inOrder = by(
    ({ claimedEpoch }) => claimedEpoch,
    ({ order }) => order.session,
    ({ place }) => place[0],
    ({ place }) => place[1],
  );
  for (const { id, order, free } of [...orders].sort(inOrder)) {
    const { token, amount } = need(order.side, market, order.priceTicks, lotsOf(free));
    const key = order.owner + token;
    if (amount > (left.get(key) ?? 0n)) continue;
    left.set(key, left.get(key) - amount);
    funded.add(id);
  }
  return funded;
}

// The lot ranges of an order that settled or are held ([HOLD-5]).
function takenOf(id, holds, trades) {
  const held = holds.filter(({ order }) => order.id === id).map(({ ticket, side }) => rangeOf(ticket, side));
  const asMaker = trades.filter(({ makerOrder }) => makerOrder === id).map((trade) => rangeOf(trade, "maker"));
  const asTaker = trades.filter(({ takerOrder }) => takerOrder === id).map((trade) => rangeOf(trade, "taker"));
  return [...held, ...asMaker, ...asTaker];
}

const rangeOf = (lots, side) => [lots[`${side}From`], lots[`${side}To`]];

export async function buildBook({ entries, blocks, epoch, market, marketId, clock, signing }) {
  const block = fundBlock(blocks, clock, epoch);
  if (block === null) return null;
  const feeds = (await feedsOf(entries, marketId, signing)).map(isLeftIn(epoch));
  const chain = new ChainView(blocks, block, marketId, market);
  const orders = new Map();
  for (const feed of feeds) {
    for (const order of await ordersOf(feed, market.minFillLots, signing)) {
      orders.set(order.id, { ...order, isDead: feed.forkedSeq !== null });
    }
  }
  const holds = new Holds({ orders, signing, clock });
  await holds.collect(feeds, epoch);
  const live = holds.live(block.timeS);
  const startS = clock.startS(epoch);
  const open = [...orders.values()]
    .filter((order) => isStillOpen(order, epoch, startS, clock.k))
    .map((order) => ({ ...order, free: freeRanges(order.order.quantityLots, takenOf(order.id, live, chain.trades)) }))
    .filter(({ free }) => free.length > 0);
  const able = open.filter((order) => maySession(order, chain, startS));
  const funded = fundedOrders(able, afterHolds(live, chain, market), market);
  const rows = open
    .sort(by(({ id }) => id))
    .map(({ id, claimedEpoch, free }) => [id, claimedEpoch, free, funded.has(id)]);
  const dead = feeds.filter(({ forkedSeq }) => forkedSeq !== null).map(({ session }) => session);
  return encode([marketId, epoch, block.number, block.hash, rows, dead]);
}
