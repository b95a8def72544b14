// First admission ([FUND-5]): who could pay for an order when it was placed ([FUND-8]). An order that could not be is
// void.
import { ChainView, fundBlock } from "./chain.js";
import { by } from "./feeds.js";
import { freeRanges, lotsOf, Words } from "./holds.js";
import { need } from "./lanes.js";
import { isInTime } from "./orders.js";

export const later = (one, other) => (one > other ? one : other);
const MAX_OPEN = 100;

const inItsTurn = by(
  ({ epoch }) => epoch,
  ({ session }) => session,
  ({ place }) => place[0],
  ({ place }) => place[1],
);

export class Admission {
  constructor({ blocks, market, marketId, clock, signing }) {
    Object.assign(this, { blocks, market, marketId, clock, signing, views: new Map() });
  }

  // The chain at an epoch's fund block.
  viewAt(epoch) {
    if (!this.views.has(epoch)) {
      const block = fundBlock(this.blocks, this.clock, epoch);
      this.views.set(epoch, new ChainView(this.blocks, block, this.marketId, this.market));
    }
    return this.views.get(epoch);
  }

  // The admitted ones of one owner's orders. `feeds` are the owner's; `orders` those that stand by their form.
  // `baseEpoch` is the highest that one of its bases claims.
  async admitted(orders, feeds, baseEpoch) {
    const byId = new Map(orders.map((order) => [order.id, order]));
    const words = new Words({ orders: byId, signing: this.signing, clock: this.clock });
    const said = (await Promise.all(feeds.map((feed) => words.ofFeed({ ...feed, forkedSeq: null }, null)))).flat();
    const turns = [
      ...orders.map((order) => ({
        order,
        epoch: order.placedEpoch,
        session: order.order.session,
        place: order.place,
      })),
      ...said.map((word) => ({
        word,
        epoch: later(word.entry.epoch, baseEpoch),
        session: word.session,
        place: word.place,
      })),
    ].sort(inItsTurn);
    const admitted = new Map();
    const earlier = [];
    for (const turn of turns) {
      if (turn.word && admitted.has(turn.word.ticket[`${turn.word.side}Order`])) earlier.push(turn.word);
      const isIn = turn.order && (turn.order.isEnded || this.isAdmitted(turn, [...admitted.values()], earlier));
      if (isIn) admitted.set(turn.order.id, turn.order);
    }
    return [...admitted.values()];
  }

  isAdmitted(turn, before, words) {
    const chain = this.viewAt(turn.epoch);
    const { order } = turn.order;
    const purse = chain.purse(order.owner);
    const unsettled = ({ id, order: one }) => lotsOf(freeRanges(one.quantityLots, chain.settledRanges(id, one)));
    const isOpen = (one) => this.isOpen(one, turn) && unsettled(one) > 0n;
    const open = before.filter(isOpen);
    for (const one of open) purse.take(need(one.order, this.market, one.order.priceTicks, unsettled(one)));
    for (const { id, order: closed } of before.filter((one) => !isOpen(one))) {
      const own = words.filter(({ ticket, side }) => ticket[`${side}Order`] === id);
      for (const { digest, ticket } of new Map(own.map((word) => [word.digest, word])).values()) {
        const liveFromS = later(chain.block?.timeS ?? 0n, this.clock.startS(turn.epoch) - this.clock.lFund);
        if (chain.settled.has(digest) || liveFromS > ticket.deadline) continue;
        purse.take(need(closed, this.market, ticket.priceTicks, ticket.makerTo - ticket.makerFrom));
      }
    }
    return open.length < MAX_OPEN && purse.fits(need(order, this.market, order.priceTicks, order.quantityLots));
  }

  // Whether neither a Cancel nor time had ended an earlier admitted order in an order's turn.
  isOpen(one, turn) {
    const { cancelled } = one;
    const epoch = cancelled && later(cancelled.entry.epoch, one.placedEpoch);
    const at = cancelled && { epoch, session: one.order.session, place: cancelled.place };
    if (at && inItsTurn(at, turn) < 0) return false;
    return isInTime(one, turn.epoch, this.clock);
  }
}
