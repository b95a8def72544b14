// Tickets of pieces, groups of legs, and what contradicts ([TICK-1], [TICK-10], [TICK-14]).
import { concat, keccak256 } from "viem";
import { by } from "./feeds.js";
import { commonArbitrators, NO_ADDRESS } from "./matching.js";
import { FOK } from "./orders.js";
import { overlap } from "./peers.js";

const NO_GROUP = `0x${"00".repeat(32)}`;
const MAX_LEGS = 16;

// The ticket of a piece; a leg's without its group.
export function ticketOf({ maker, taker, piece, epoch, ticketNonce }, clock) {
  const life = taker.tif === FOK ? clock.d / 2n : clock.d;
  const first = (ofMaker, ofTaker, none) => ofMaker.find((one) => ofTaker.includes(one)) ?? none;
  return {
    ...piece,
    epoch,
    deadline: clock.startS(epoch) + life,
    ticketNonce,
    kind: maker.security === 0n ? 0n : 1n,
    paymentMethod: first(maker.paymentMethods, taker.paymentMethods, 0n),
    arbitrator: commonArbitrators(maker, taker)[0] ?? NO_ADDRESS,
    security: maker.security,
    group: NO_GROUP,
  };
}

export function groupOf(legs, signing) {
  const digests = legs.map((leg) => signing.digest("Ticket", { ...leg, group: NO_GROUP }));
  return keccak256(concat(digests.sort()));
}

// Whether tickets are all the legs of a FOK order: together exactly its lots, each with the group.
export function isGroup(taker, legs, signing) {
  const [id, group] = [signing.digest("Order", taker), groupOf(legs, signing)];
  const isLeg = (leg) => leg.takerOrder === id && leg.group === group;
  let reached = 0n;
  for (const { takerFrom, takerTo } of [...legs].sort(by(({ takerFrom: from }) => from))) {
    if (takerFrom !== reached || takerTo <= takerFrom) return false;
    reached = takerTo;
  }
  const isWhole = legs.length > 0 && legs.length <= MAX_LEGS && reached === taker.quantityLots;
  return taker.tif === FOK && isWhole && legs.every(isLeg);
}

// Whether a ticket's piece is among a window's, and of a FOK order all the rest too ([TICK-3], [TICK-15]).
export function isEntitled(ticket, pieces, taker) {
  const isFok = taker.tif === FOK;
  const isIt = (piece) => Object.keys(piece).every((name) => piece[name] === ticket[name]);
  if ((ticket.group !== NO_GROUP) !== isFok || !pieces.some(isIt)) return false;
  const own = pieces.filter(({ takerOrder }) => takerOrder === ticket.takerOrder);
  return !isFok || own.reduce((sum, { takerFrom, takerTo }) => sum + takerTo - takerFrom, 0n) === taker.quantityLots;
}

// Whether who signed one ticket over an own order may never sign the other.
export function contradicts({ order, first, firstTaker, second, secondTaker }, clock) {
  if (first.ticketNonce === second.ticketNonce && firstTaker === secondTaker) return true;
  const lots = (one) => (one.makerOrder === order ? [one.makerFrom, one.makerTo] : [one.takerFrom, one.takerTo]);
  const time = (one) => [clock.startS(one.epoch), one.deadline + 1n];
  return overlap(lots(first), lots(second)) && overlap(time(first), time(second));
}
