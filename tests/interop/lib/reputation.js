// What an owner's record on the chain is worth ([REP-1..13]).
import { by, grouped } from "./feeds.js";

const DAY_S = 86400n;
const LAST_DECAY = 1440n;
const BARRED_DAYS = 180n;
const UNIT = 1000000n;
const OFFENCES = ["Slashed", "DisputeLost", "Defaulted"];
const decays = new Map();

const sum = (values) => values.reduce((total, value) => total + value, 0n);
const min = (left, right) => (left < right ? left : right);
const bitLength = (value) => (value === 0n ? 0n : BigInt(value.toString(2).length));

// The largest d with d^90 * 2^n <= 65536^90, 0 beyond day 1440 ([REP-4]).
export function decay(days) {
  if (days > LAST_DECAY) return 0n;
  if (!decays.has(days)) {
    let [low, high] = [0n, 65537n];
    while (high - low > 1n) {
      const middle = (low + high) / 2n;
      if (middle ** 90n * 2n ** days <= 65536n ** 90n) low = middle;
      else high = middle;
    }
    decays.set(days, low);
  }
  return decays.get(days);
}

export class Record {
  // `blocks` up to the anchor, that one included; empty without an anchor ([REP-2]).
  constructor(blocks, periodS) {
    this.blocks = blocks;
    this.periodS = periodS;
    this.anchorS = blocks.at(-1)?.timeS ?? 0n;
    this.facts = blocks.flatMap(({ timeS, facts }) => facts.map((fact) => ({ timeS, fact })));
  }

  age(timeS) {
    return this.anchorS / DAY_S - timeS / DAY_S;
  }

  // The least bond of an owner from `seconds` before the anchor on ([REP-6]).
  low(owner, seconds) {
    const since = this.anchorS - seconds;
    if (!this.blocks.some(({ timeS }) => timeS <= since)) return 0n;
    const own = this.facts.filter(({ fact }) => fact.kind === "BondChanged" && fact.owner === owner);
    const before = own.filter(({ timeS }) => timeS <= since).at(-1)?.fact.amount ?? 0n;
    return own.filter(({ timeS }) => timeS > since).reduce((least, { fact }) => min(least, fact.amount), before);
  }

  bond(owner) {
    return this.low(owner, this.periodS);
  }

  // What each counterparty of an owner vouches for ([REP-5], [REP-7]), by counterparty.
  vouches(owner) {
    const paying = this.facts
      .filter(({ fact, timeS }) => fact.kind === "TradeSettled" && fact.sinkFee > 0n && decay(this.age(timeS)) > 0n)
      .filter(({ fact }) => fact.makerOwner !== fact.takerOwner && [fact.makerOwner, fact.takerOwner].includes(owner));
    const other = ({ fact }) => (fact.makerOwner === owner ? fact.takerOwner : fact.makerOwner);
    return [...grouped(paying, other)].sort(by(([counterparty]) => counterparty)).map(([counterparty, trades]) => {
      const fees = sum(trades.map(({ fact, timeS }) => fact.sinkFee * decay(this.age(timeS)))) >> 16n;
      const bond = this.bond(counterparty);
      const cap = bond / 4n;
      const paid = sum(trades.map(({ fact }) => fact.sinkFee));
      return { counterparty, trades: BigInt(trades.length), paid, fees, bond, cap, counted: min(fees, cap) };
    });
  }

  locked(owner) {
    const bond = this.bond(owner);
    const days = Array.from({ length: 365 }, (_, at) => BigInt(at + 1));
    return sum(days.map((day) => min(bond, this.low(owner, DAY_S * day))));
  }

  // The owner's offences in the order of the chain, each with what it weighs today ([REP-11]).
  marks(owner) {
    const own = this.facts.filter(({ fact }) => OFFENCES.includes(fact.kind) && fact.owner === owner);
    return own.map(({ fact, timeS }) => {
      const ageDays = this.age(timeS);
      return { offence: fact, ageDays, weightQ16: fact.amount * decay(ageDays) };
    });
  }

  // The score and what it is made of ([REP-8..13]).
  score(owner) {
    const vouches = this.vouches(owner);
    const counted = vouches.map((vouch) => vouch.counted);
    const gathered = sum(counted);
    const neff = gathered === 0n ? 0n : (gathered * gathered) / sum(counted.map((one) => one * one));
    const breadth = min(256n, 32n + 28n * bitLength(neff));
    const [bond, locked] = [this.bond(owner), this.locked(owner)];
    const good = ((gathered * breadth) >> 8n) + locked / 7300n;
    const marks = this.marks(owner);
    const bad = sum(marks.map(({ weightQ16 }) => weightQ16)) >> 16n;
    const oversigned = marks.filter(({ offence }) => offence.isOverSigning).map(({ ageDays }) => BARRED_DAYS - ageDays);
    const barredDays = oversigned.reduce((most, days) => (days > most ? days : most), 0n);
    const earned = (good * ((1000n * (good + 1n)) / (good + 1n + 2n * bad))) / 1000n;
    const score = bond === 0n || barredDays > 0n ? 0n : earned;
    const tier = BigInt([1n, 8n, 64n].filter((units) => score >= units * UNIT).length);
    return { owner, vouches, gathered, neff, breadth, bond, locked, good, marks, bad, barredDays, score, tier };
  }
}
