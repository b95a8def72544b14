// Who is entitled to trade with whom ([MATCH-1..8]).
import { concat, keccak256, numberToHex } from "viem";
import { encode } from "./cbor.js";
import { by } from "./feeds.js";

const BUY = 0n;
const GTC = 0n;
const TIER = 0n;

// The rows of a book that may match in a window: matchable, with what the assignment gives them, and ranked ([MATCH-1..3]).
function entrants({ orders, assignment, epoch, market }) {
  const beacon = keccak256(market);
  const assigned = new Map(assignment);
  return orders
    .filter(({ orderId, isMatchable }) => isMatchable && assigned.has(orderId) && assigned.get(orderId) <= epoch)
    .map((row) => {
      const effectiveEpoch = assigned.get(row.orderId);
      const rank = keccak256(concat([beacon, numberToHex(effectiveEpoch, { size: 8 }), row.order.owner, market]));
      return { ...row, id: row.orderId, effectiveEpoch, rank, tier: TIER };
    });
}

const price = ({ order }) => (order.side === BUY ? -order.priceTicks : order.priceTicks); // lower is better
const tier = (one) => -one.tier;
const effective = ({ effectiveEpoch }) => effectiveEpoch;
const BY_RANK = [({ rank }) => rank, ({ order }) => order.session, ({ order }) => order.nonce];
const byEntry = by(effective, tier, ...BY_RANK);
const byWorth = by(price, tier, effective, ...BY_RANK);

function crosses(taker, maker) {
  const [bid, ask] = taker.order.side === BUY ? [taker, maker] : [maker, taker];
  return taker.order.side !== maker.order.side && bid.order.priceTicks >= ask.order.priceTicks;
}

// A rule about the pair ([MATCH-5]).
function isCompatible(one, other, skips) {
  const isSkipped = skips.some(
    ([left, right]) =>
      (left === one.order.session && right === other.order.session) ||
      (left === other.order.session && right === one.order.session),
  );
  return one.order.owner !== other.order.owner && !isSkipped;
}

// Takes lots from both sides, lowest first, in the fewest pieces that are contiguous on both ([MATCH-6]).
function* fill(maker, taker) {
  while (maker.left.length > 0 && taker.left.length > 0) {
    const [[makerFrom, makerEnd], [takerFrom, takerEnd]] = [maker.left[0], taker.left[0]];
    const lots = makerEnd - makerFrom < takerEnd - takerFrom ? makerEnd - makerFrom : takerEnd - takerFrom;
    for (const side of [maker, taker]) {
      const [[from, end], ...rest] = side.left;
      side.left = from + lots === end ? rest : [[from + lots, end], ...rest];
    }
    const ranges = { makerFrom, makerTo: makerFrom + lots, takerFrom, takerTo: takerFrom + lots };
    yield { makerOrder: maker.id, takerOrder: taker.id, priceTicks: maker.order.priceTicks, ...ranges };
  }
}

export function entitlements(window) {
  const resting = [];
  const pieces = [];
  for (const taker of entrants(window).sort(byEntry)) {
    taker.left = taker.free;
    const makers = resting.filter((maker) => crosses(taker, maker) && isCompatible(taker, maker, window.skips));
    for (const maker of makers.sort(byWorth)) pieces.push(...fill(maker, taker));
    if (taker.order.tif === GTC) resting.push(taker);
  }
  return pieces;
}

// The orders that alone can match ([MATCH-7]).
function crossingOrders(window) {
  const all = entrants(window);
  const bids = all.filter(({ order }) => order.side === BUY).sort(by(price));
  const asks = all.filter(({ order }) => order.side !== BUY).sort(by(price));
  if (bids.length === 0 || asks.length === 0) return [];
  return [...bids.filter((bid) => crosses(bid, asks[0])), ...asks.filter((ask) => crosses(ask, bids[0]))];
}

export function windowDigest(window) {
  const rows = crossingOrders(window)
    .sort(by(({ id }) => id))
    .map(({ id, free, effectiveEpoch, tier }) => [id, free, effectiveEpoch, tier]);
  return keccak256(encode([window.market, window.epoch, window.block.hash, keccak256(window.market), rows]));
}
