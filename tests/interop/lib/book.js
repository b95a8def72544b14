// The book of an epoch and its bytes ([BOOK-1..3], [FUND-2..7]).
import { Admission, later } from "./admission.js";
import { encode } from "./cbor.js";
import { ChainView, fundBlock } from "./chain.js";
import { fromItsBase } from "./checkpoints.js";
import { by, feedsOf, grouped } from "./feeds.js";
import { freeRanges, holdsOf, lotsOf, silentSessions, Words } from "./holds.js";
import { need, quoteAmount } from "./lanes.js";
import { isSelfConvicted } from "./peers.js";
import { isInTime, ordersOf } from "./orders.js";

const SCOPE_TICKET = 1n;
const SCOPE_TRADE = 2n;

// Without the entries that claim a later epoch ([BOOK-2]).
function cutAt(epoch) {
  return (feed) => {
    const cut = feed.standing.findIndex((entry) => entry.epoch > epoch);
    return cut < 0 ? feed : { ...feed, standing: feed.standing.slice(0, cut) };
  };
}

// The orders that are not void, by id ([ORD-1..4], [FUND-5]).
async function admittedOrders(feeds, world) {
  const admission = new Admission(world);
  const orders = new Map();
  for (const own of grouped(
    feeds.filter(({ standing, forkedSeq }) => standing.length > 0 && forkedSeq === null),
    ({ standing }) => standing[0].owner,
  ).values()) {
    const bases = own.map(({ standing: [first] }) => (first.listing ? first.epoch : 0n));
    const baseEpoch = bases.reduce(later);
    const formed = (await Promise.all(own.map((feed) => ordersOf(feed, world)))).flat();
    const placed = formed.map((order) => ({ ...order, placedEpoch: later(order.claimedEpoch, baseEpoch) }));
    for (const order of await admission.admitted(placed, own, baseEpoch)) orders.set(order.id, order);
  }
  return orders;
}

// Whether an order's session and owner may trade ([FUND-4], [FUND-7]).
function mayTrade({ order, isSessionSigned }, { chain, startS, barred, periodS }) {
  const record = chain.sessions.get(order.session);
  if (barred.has(order.session) || chain.isInDefault(order.owner, periodS)) return false;
  if (!record || record.owner !== order.owner || chain.revoked.has(order.session)) return false;
  const scope = isSessionSigned ? SCOPE_TICKET | SCOPE_TRADE : SCOPE_TICKET;
  return (record.scope & scope) === scope && record.expiry > startS;
}

// One owner's funds and notional, live holds reserved first ([FUND-2], [FUND-6]).
function afterHolds(owner, holds, { chain, market }) {
  const purse = chain.purse(owner);
  let notional = 0n;
  const own = holds.filter(({ digest, order }) => order.order.owner === owner && !chain.settled.has(digest));
  for (const { ticket, order } of new Map(own.map((hold) => [hold.digest + hold.order.id, hold])).values()) {
    const lots = ticket.makerTo - ticket.makerFrom;
    purse.take(need(order.order, market, ticket.priceTicks, lots));
    notional += quoteAmount(market, ticket.priceTicks, lots);
  }
  return { purse, notional };
}

// One owner's orders take in turn what is left; returns the ids of the funded ones ([FUND-3], [FUND-6]).
function fundedOrders(owner, orders, holds, context) {
  const { chain, market, clock, quotePerBond } = context;
  const state = afterHolds(owner, holds, context);
  const most = clock.bondMultiple > 0n ? clock.bondMultiple * (chain.bonds.get(owner) ?? 0n) * quotePerBond : null;
  const inItsTurn = by(
    ({ placedEpoch }) => placedEpoch,
    ({ order }) => order.session,
    ({ place }) => place[0],
    ({ place }) => place[1],
  );
  return [...orders].sort(inItsTurn).filter(({ order, free }) => {
    const needed = need(order, market, order.priceTicks, lotsOf(free));
    const notional = state.notional + quoteAmount(market, order.priceTicks, lotsOf(free));
    if (!state.purse.fits(needed) || (most !== null && notional > most)) return false;
    state.purse.take(needed);
    state.notional = notional;
    return true;
  });
}

// The rows of open orders with their free lots ([ORD-6], [HOLD-5]).
function openOrders(orders, live, { chain, epoch, clock }) {
  const rows = [...orders.values()].filter((order) => order.cancelled === null && isInTime(order, epoch, clock));
  return rows
    .map((row) => {
      const held = live.filter(({ order }) => order.id === row.id).map(({ range }) => range);
      return { ...row, free: freeRanges(row.order.quantityLots, [...held, ...chain.settledRanges(row.id, row.order)]) };
    })
    .filter(({ free }) => free.length > 0);
}

// `world` has entries, starts, blocks, market, marketId, clock, signing, convicted and quotePerBond.
export async function buildBook(world, epoch) {
  const { entries, blocks, market, marketId, clock, signing, convicted } = world;
  const block = fundBlock(blocks, clock, epoch);
  if (block === null) return null;
  const all = await feedsOf(entries, marketId, world);
  const whole = await Promise.all(all.map((feed) => fromItsBase(feed, epoch, world)));
  const feeds = whole.map(cutAt(epoch));
  const chain = new ChainView(blocks, block, marketId, market);
  const orders = await admittedOrders(feeds, world);
  const verdicts = await Promise.all(whole.map((feed) => isSelfConvicted(feed, world)));
  const selfConvicted = whole.filter((_, at) => verdicts[at]).map(({ session }) => session);
  const words = new Words({ orders, signing, clock });
  const said = (await Promise.all(feeds.map((feed) => words.ofFeed(feed, epoch)))).flat();
  const liveFromS = later(block.timeS, clock.startS(epoch) - clock.lFund);
  const live = holdsOf(said, orders).filter(({ ticket }) => liveFromS <= ticket.deadline);
  const dead = [
    ...feeds.filter(({ forkedSeq }) => forkedSeq !== null).map(({ session }) => session),
    ...convicted,
    ...selfConvicted,
  ];
  const silent = silentSessions(live, feeds, { epoch, settled: chain.settled, signing });
  const context = { ...world, chain, epoch, startS: clock.startS(epoch), barred: new Set([...dead, ...silent]) };
  const open = openOrders(orders, live, context);
  const able = open.filter((row) => mayTrade(row, { ...context, periodS: clock.periodS }));
  const funded = new Set();
  for (const [owner, own] of grouped(able, ({ order }) => order.owner)) {
    for (const { id } of fundedOrders(owner, own, live, context)) funded.add(id);
  }
  const rows = open
    .sort(by(({ id }) => id))
    .map(({ id, placedEpoch, free }) => [id, placedEpoch, free, funded.has(id)]);
  return encode([marketId, epoch, block.number, block.hash, rows, [...new Set(dead)].sort()]);
}
