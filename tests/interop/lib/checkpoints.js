// What a feed alone implies where a Checkpoint stands ([FEED-13..14]).
import { compare, standingItems } from "./feeds.js";
import { Words } from "./holds.js";
import { isInTime, ordersOf } from "./orders.js";

// The feed with nothing but the items before a place.
function before(feed, at) {
  const cut = feed.standing.filter(({ seq }) => seq <= at.seq);
  return { ...feed, forkedSeq: null, standing: [...cut.slice(0, -1), { ...at, items: at.items.slice(0, -1) }] };
}

// The lists of a true Checkpoint as the last item of an entry that stands in a feed.
export async function impliedAt(feed, entry, world) {
  const part = before(feed, entry);
  const { clock, signing } = world;
  const orders = await ordersOf(part, world);
  const nonces = standingItems(part).flatMap(({ item }) => (item.rule === "order-item" ? [item.order.nonce] : []));
  const words = await new Words({ orders: new Map(orders.map((one) => [one.id, one])), signing, clock }).ofFeed(
    part,
    null,
  );
  const live = words.filter(({ ticket }) => ticket.deadline >= clock.startS(entry.epoch));
  const listed = (side) => [...new Set(live.filter((word) => word.side === side).map(({ digest }) => digest))].sort();
  const isLive = (one) => one.cancelled === null && isInTime(one, entry.epoch, clock);
  return {
    nextNonce: nonces.reduce((most, nonce) => (nonce >= most ? nonce + 1n : most), 0n),
    liveOrders: orders
      .filter(isLive)
      .map(({ id }) => id)
      .sort(compare),
    ownOffers: listed("taker"),
    ownTickets: listed("maker"),
  };
}

// Whether an entry that stands has no Checkpoint, or a true one at its end.
export async function isTrueToItsFeed(feed, entry, world) {
  const places = entry.items.flatMap(({ value }, at) => (value.rule === "checkpoint" ? [at] : []));
  if (places.length === 0) return true;
  if (places.length > 1 || places[0] !== entry.items.length - 1) return false;
  const implied = await impliedAt(feed, entry, world);
  const said = entry.items.at(-1).value;
  return Object.keys(implied).every((name) => String(implied[name]) === String(said[name]));
}
