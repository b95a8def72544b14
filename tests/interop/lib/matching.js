// Who is entitled to trade with whom ([MATCH-1..11]). A window has the book's rows, the assignment, the period and the
// skips.
import { concat, keccak256, numberToHex } from "viem";
import { encode } from "./cbor.js";
import { by } from "./feeds.js";
import { lotsOf } from "./holds.js";
import { BUY, FOK, IOC } from "./orders.js";

export const NO_ADDRESS = `0x${"00".repeat(20)}`;
const LANES = [0n, 1n, 2n, 3n];
const MAX_LEGS = 16;

const price = ({ order }) => (order.side === BUY ? -order.priceTicks : order.priceTicks); // lower is better
const tier = (one) => -one.tier;
const effective = ({ effectiveEpoch }) => effectiveEpoch;
const BY_RANK = [({ rank }) => rank, ({ order }) => order.session, ({ order }) => order.nonce];
const byEntry = by(effective, tier, ...BY_RANK);
const byWorth = by(price, tier, effective, ...BY_RANK);

// The rows that may match in a window: matchable, not left out, with their keys ([MATCH-1..3]).
function entrants({ orders, effective: assigned, absent, epoch, market, beacon, tierOf, isUnbonded }) {
  const isIn = ({ orderId, order, isMatchable }) =>
    isMatchable && assigned.get(orderId) <= epoch && !absent.has(order.session);
  return orders.filter(isIn).map((row) => {
    const effectiveEpoch = assigned.get(row.orderId);
    const { owner } = row.order;
    const turn = keccak256(concat([beacon, numberToHex(effectiveEpoch, { size: 8 }), owner, market]));
    const rank = concat([isUnbonded(owner) ? "0x01" : "0x00", turn]);
    return { ...row, id: row.orderId, effectiveEpoch, rank, tier: tierOf(owner) };
  });
}

function crosses(one, other) {
  const [bid, ask] = one.order.side === BUY ? [one, other] : [other, one];
  return one.order.side !== other.order.side && bid.order.priceTicks >= ask.order.priceTicks;
}

const share = (left, right) => left.some((one) => right.includes(one));

// Whom both list, as the left one prefers: neither of the two owners, nor the zero address ([MATCH-5], [TICK-1]).
export function commonArbitrators(left, right) {
  const nobody = [left.owner, right.owner, NO_ADDRESS];
  return left.arbitrators.filter((one) => right.arbitrators.includes(one) && !nobody.includes(one));
}

// A rule about the pair ([MATCH-5]).
export function isCompatible(one, other, skips) {
  const [left, right] = [one.order, other.order];
  const isPair = (pair, first, second) => pair[0] === first.session && pair[1] === second.session;
  const isSkipped = skips.some((pair) => isPair(pair, left, right) || isPair(pair, right, left));
  const hasTiers = one.tier >= right.minTier && other.tier >= left.minTier;
  if (left.postOnly && right.postOnly) return false;
  if (left.security !== right.security || left.owner === right.owner || isSkipped || !hasTiers) return false;
  return (
    left.security === 0n ||
    (share(left.paymentMethods, right.paymentMethods) && commonArbitrators(left, right).length > 0)
  );
}

// The most lots that both sides have contiguous at their lowest, until one has none left ([MATCH-6]).
function* pieces(maker, taker) {
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

// A fill-or-kill order enters whole and is filled whole, in few pieces, or not at all ([MATCH-10]).
function isFillable(taker, makers) {
  const isWhole = lotsOf(taker.free) === taker.order.quantityLots;
  const copy = { ...taker, left: taker.free };
  const legs = makers.flatMap((maker) => [...pieces({ ...maker }, copy)]);
  return isWhole && copy.left.length === 0 && legs.length <= MAX_LEGS;
}

// One order's turn: what it and those that rest do to each other. Returns [maker, taker] pairs in order ([MATCH-4],
// [MATCH-9]).
function meetings(entrant, resting, skips) {
  const others = resting.filter(
    (one) => one.left.length > 0 && crosses(entrant, one) && isCompatible(entrant, one, skips),
  );
  others.sort(byWorth);
  if (entrant.order.postOnly) {
    if (others.some(({ effectiveEpoch }) => effectiveEpoch === entrant.effectiveEpoch)) return null;
    return others.map((older) => [entrant, older]);
  }
  if (entrant.order.tif === FOK && !isFillable(entrant, others)) return null;
  return others.map((maker) => [maker, entrant]);
}

// Replays a lane from an empty book; each fill has its sides and pieces.
function replay(inOrder, skips) {
  const resting = [];
  const fills = [];
  for (const row of inOrder) {
    const entrant = { ...row, left: row.free };
    const met = meetings(entrant, resting, skips);
    if (met === null) continue;
    for (const [maker, taker] of met) fills.push({ maker, taker, pieces: [...pieces(maker, taker)] });
    if (entrant.order.tif !== IOC && entrant.order.tif !== FOK) resting.push(entrant);
  }
  return fills.filter((fill) => fill.pieces.length > 0);
}

// A lane's fills, the takers of parked pairs behind all others if there are any ([MATCH-11]).
function laneFills(rows, { epoch, w, skips }) {
  const inOrder = [...rows].sort(byEntry);
  const isOld = ({ effectiveEpoch }) => effectiveEpoch + w < epoch;
  const first = replay(inOrder, skips);
  const parked = new Set(first.filter(({ maker, taker }) => isOld(maker) && isOld(taker)).map(({ taker }) => taker.id));
  if (parked.size === 0) return first;
  return replay([...inOrder.filter(({ id }) => !parked.has(id)), ...inOrder.filter(({ id }) => parked.has(id))], skips);
}

export function entitlements(window) {
  const rows = entrants(window);
  const lanes = LANES.map((lane) =>
    laneFills(
      rows.filter(({ order }) => order.security === lane),
      window,
    ),
  );
  return lanes.flat().flatMap((fill) => fill.pieces);
}

// The orders that alone can match, of all lanes ([MATCH-7]).
function crossingOrders(window) {
  const rows = entrants(window);
  return LANES.flatMap((lane) => {
    const own = rows.filter(({ order }) => order.security === lane).sort(by(price));
    const [bids, asks] = [own.filter(({ order }) => order.side === BUY), own.filter(({ order }) => order.side !== BUY)];
    if (bids.length === 0 || asks.length === 0) return [];
    return [...bids.filter((bid) => crosses(bid, asks[0])), ...asks.filter((ask) => crosses(ask, bids[0]))];
  });
}

export function windowDigest(window) {
  const rows = crossingOrders(window)
    .sort(by(({ id }) => id))
    .map(({ id, free, effectiveEpoch, tier: level }) => [id, free, effectiveEpoch, level]);
  return keccak256(encode([window.market, window.epoch, window.block.hash, window.beacon, rows]));
}
