// Which Offers and TicketItems count ([HOLD-1..3]), what they hold ([HOLD-4..6]), who is silent ([HOLD-7]).
import { by, standingItems } from "./feeds.js";

const SILENCE_EPOCHS = 4n;

function hasItsShape({ ticket }, clock) {
  const lots = ticket.makerTo - ticket.makerFrom;
  const start = clock.startS(ticket.epoch);
  const isTimely = start <= ticket.deadline && ticket.deadline <= start + clock.d;
  return lots >= 1n && lots === ticket.takerTo - ticket.takerFrom && ticket.priceTicks >= 1n && isTimely;
}

const isEarlier = ({ place }, other) => place[0] < other[0] || (place[0] === other[0] && place[1] < other[1]);

// Reads the words of feeds on tickets. `orders` are those that are not void, by id.
export class Words {
  constructor({ orders, signing, clock }) {
    Object.assign(this, { orders, signing, clock });
  }

  // An Offer or TicketItem that counts, as {digest, ticket, side, entry, place, session, other}: `side` is the
  // session's own and `other` whom the signature of the other side recovers to. Null for any other item.
  async read(feed, placed) {
    if (placed.item.rule === "offer") return this.readOffer(feed, placed);
    return placed.item.rule === "ticket-item" ? this.readTicket(feed, placed) : null;
  }

  isOwn(id, feed, place) {
    const own = this.orders.get(id);
    return own !== undefined && own.order.session === feed.session && isEarlier(own, place);
  }

  async readOffer(feed, { item, entry, place }) {
    const { ticket, readyEpoch } = item;
    if (!this.isOwn(ticket.takerOrder, feed, place) || !hasItsShape(item, this.clock)) return null;
    const isSoon = entry.listing !== undefined || (readyEpoch <= entry.epoch && entry.epoch <= readyEpoch + 2n);
    if (ticket.epoch !== readyEpoch || !isSoon) return null;
    const digest = this.signing.digest("Ticket", ticket);
    if ((await this.signing.signer(digest, item.takerSignature)) !== feed.session) return null;
    const ready = this.signing.digest("Ready", { ticket: digest, epoch: readyEpoch });
    const other = await this.signing.signer(ready, item.readySignature);
    return other === null ? null : { digest, ticket, side: "taker", entry, place, session: feed.session, other };
  }

  // Without a place it is one of a dead session, whose maker order need not stand ([HOLD-6]).
  async readTicket(feed, { item, entry, place }) {
    const { ticket } = item;
    if (place !== null && !this.isOwn(ticket.makerOrder, feed, place)) return null;
    if (ticket.epoch > entry.epoch || !hasItsShape(item, this.clock)) return null;
    if (entry.listing === undefined && this.clock.startS(entry.epoch) > ticket.deadline) return null;
    const digest = this.signing.digest("Ticket", ticket);
    if ((await this.signing.signer(digest, item.makerSignature)) !== feed.session) return null;
    const other = await this.signing.signer(digest, item.takerSignature);
    return { digest, ticket, side: "maker", entry, place, session: feed.session, other };
  }

  // All that count of a feed in an epoch; of a dead session also the TicketItems of every entry it is known for
  // ([HOLD-6]).
  async ofFeed(feed, epoch) {
    const placed = standingItems(feed);
    if (feed.forkedSeq !== null) {
      const known = feed.entries.filter((entry) => entry.epoch <= epoch);
      placed.push(...known.flatMap((entry) => entry.items.map(({ value }) => ({ item: value, entry, place: null }))));
    }
    const isRead = ({ item, place }) => place !== null || item.rule === "ticket-item";
    const words = await Promise.all(placed.filter(isRead).map((one) => this.read(feed, one)));
    return words.filter((word) => word !== null);
  }
}

// What words hold: each the lots of its own order, and of the other side's if that session's word is with it.
export function holdsOf(words, orders) {
  return words.flatMap(({ digest, ticket, side, session, other, entry }) =>
    [
      { side, signer: session },
      { side: side === "maker" ? "taker" : "maker", signer: other },
    ].flatMap((one) => {
      const order = orders.get(ticket[`${one.side}Order`]);
      const range = [ticket[`${one.side}From`], ticket[`${one.side}To`]];
      if (!order || order.order.session !== one.signer) return [];
      return [{ digest, ticket, side: one.side, isOffered: side === "taker", entry, order, range }];
    }),
  );
}

// Sessions that signed a Ready, have its Offer and answer nothing ([HOLD-7]). `holds` are live.
export function silentSessions(holds, feeds, { epoch, settled, signing }) {
  const answers = new Set();
  for (const feed of feeds) {
    for (const { item } of standingItems(feed)) {
      if (item.rule === "ticket-item") answers.add(feed.session + signing.digest("Ticket", item.ticket));
      if (item.rule === "decline-item")
        answers.add([feed.session, item.makerOrder, item.takerOrder, item.epoch].join());
    }
  }
  const isUnanswered = ({ digest, ticket, order: { order } }) =>
    !answers.has(order.session + digest) &&
    !answers.has([order.session, ticket.makerOrder, ticket.takerOrder, ticket.epoch].join());
  const waited = holds.filter(
    (one) => one.isOffered && one.side === "maker" && one.entry.epoch + SILENCE_EPOCHS <= epoch,
  );
  const silent = waited.filter((one) => !settled.has(one.digest) && isUnanswered(one));
  return new Set(silent.map(({ order }) => order.order.session));
}

// The ranges of [0, quantity) that no taken range covers, ascending and maximal ([HOLD-5]).
export function freeRanges(quantity, taken) {
  const free = [];
  let from = 0n;
  for (const [start, end] of [...taken].sort(by(([low]) => low))) {
    if (from < start && from < quantity) free.push([from, start < quantity ? start : quantity]);
    if (end > from) from = end;
  }
  if (from < quantity) free.push([from, quantity]);
  return free;
}

export const lotsOf = (ranges) => ranges.reduce((sum, [from, to]) => sum + to - from, 0n);
