// Which Offers and TicketItems hold lots ([HOLD-1..6]), and which lots of an order are free.
import { by, compare, standingItems } from "./feeds.js";

function hasItsShape({ ticket }, clock) {
  const lots = ticket.makerTo - ticket.makerFrom;
  const start = clock.startS(ticket.epoch);
  const isTimely = start <= ticket.deadline && ticket.deadline <= start + clock.d;
  return lots >= 1n && lots === ticket.takerTo - ticket.takerFrom && ticket.priceTicks >= 1n && isTimely;
}

const isEarlier = (order, place) => compare(order.place[0], place[0]) < 0 || (order.place[0] === place[0] && order.place[1] < place[1]);

export class Holds {
  // `orders` are all that are not void, by id; `feeds` without what is left out of the epoch.
  constructor({ orders, signing, clock }) {
    Object.assign(this, { orders, signing, clock, held: [] });
  }

  async collect(feeds, epoch) {
    for (const feed of feeds) {
      for (const placed of standingItems(feed)) await this.weigh(feed, placed);
      if (feed.forkedSeq !== null) await this.collectOfDead(feed, epoch);
    }
  }

  // A dead session's TicketItems hold in every known entry that is not left out ([HOLD-6]).
  async collectOfDead(feed, epoch) {
    for (const entry of feed.entries.filter((one) => one.epoch <= epoch)) {
      for (const { value } of entry.items) {
        if (value.rule === "ticket-item") await this.weighTicket(feed, { item: value, entry, place: null });
      }
    }
  }

  async weigh(feed, placed) {
    if (placed.item.rule === "offer") await this.weighOffer(feed, placed);
    if (placed.item.rule === "ticket-item" && feed.forkedSeq === null) await this.weighTicket(feed, placed);
  }

  async weighOffer(feed, { item, entry, place }) {
    const { ticket, readyEpoch } = item;
    const own = this.orders.get(ticket.takerOrder);
    if (!own || own.order.session !== feed.session || !isEarlier(own, place)) return;
    if (ticket.epoch !== readyEpoch || entry.epoch < readyEpoch || entry.epoch > readyEpoch + 2n) return;
    if (!hasItsShape(item, this.clock)) return;
    const digest = this.signing.digest("Ticket", ticket);
    if ((await this.signing.signer(digest, item.takerSignature)) !== feed.session) return;
    const ready = this.signing.digest("Ready", { ticket: digest, epoch: readyEpoch });
    const maker = await this.signing.signer(ready, item.readySignature);
    if (maker === null) return;
    this.hold(digest, ticket, "taker", feed.session);
    this.hold(digest, ticket, "maker", maker);
  }

  async weighTicket(feed, { item, entry, place }) {
    const { ticket } = item;
    const own = this.orders.get(ticket.makerOrder);
    if (place !== null && (!own || own.order.session !== feed.session || !isEarlier(own, place))) return;
    if (ticket.epoch > entry.epoch || !hasItsShape(item, this.clock)) return;
    const digest = this.signing.digest("Ticket", ticket);
    if ((await this.signing.signer(digest, item.makerSignature)) !== feed.session) return;
    this.hold(digest, ticket, "maker", feed.session);
    this.hold(digest, ticket, "taker", await this.signing.signer(digest, item.takerSignature));
  }

  // Holds one side's lots if that side's word is its own order's session's.
  hold(digest, ticket, side, signer) {
    const order = this.orders.get(ticket[`${side}Order`]);
    if (order?.order.session === signer) this.held.push({ digest, ticket, side, order });
  }

  live(blockTimeS) {
    return this.held.filter(({ ticket }) => blockTimeS <= ticket.deadline);
  }
}

// The ranges of [0, quantity) that no taken range covers, ascending and maximal ([HOLD-5]).
export function freeRanges(quantity, taken) {
  const free = [];
  let from = 0n;
  for (const [start, end] of [...taken].sort(by(([start]) => start))) {
    if (from < start && from < quantity) free.push([from, start < quantity ? start : quantity]);
    if (end > from) from = end;
  }
  if (from < quantity) free.push([from, quantity]);
  return free;
}

export const lotsOf = (ranges) => ranges.reduce((sum, [from, to]) => sum + to - from, 0n);
