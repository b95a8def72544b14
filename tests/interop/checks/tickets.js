// tickets/ and conduct/: tickets, groups, contradictions, and what an honest node decides.
import { Clock } from "../lib/chain.js";
import { ANY, FUNCTIONS, patienceAfter } from "../lib/conduct.js";
import { contradicts, groupOf, isEntitled, isGroup, ticketOf } from "../lib/tickets.js";
import { Difference, hasForm, same } from "../lib/vectors.js";

const clockOf = ({ constants, genesisMs }) => new Clock(constants, genesisMs);

export function checkTicket(one, { file }) {
  hasForm("a case", one, "name", "maker", "taker", "piece", "epoch", "ticketNonce", "ticket");
  const ticket = ticketOf(one, clockOf(file));
  for (const name of Object.keys(one.ticket)) same(`ticket's ${name}`, one.ticket[name], ticket[name]);
}

export function checkGroup(one, { signing }) {
  hasForm("a case", one, "name", "taker", "legs", "group", "isGroup");
  same("group", one.group, groupOf(one.legs, signing));
  same("is group", one.isGroup, isGroup(one.taker, one.legs, signing));
}

export function checkEntitled(one) {
  hasForm("a case", one, "name", "taker", "ticket", "pieces", "isEntitled");
  same("is entitled", one.isEntitled, isEntitled(one.ticket, one.pieces, one.taker));
}

export function checkContradiction(one, { file }) {
  hasForm("a case", one, "name", "order", "first", "firstTaker", "second", "secondTaker", "contradicts");
  same("contradicts", one.contradicts, contradicts(one, clockOf(file)));
}

export function checkConduct(one, { presets }) {
  hasForm("a case", one, "name", "function", "given", "says");
  const decide = FUNCTIONS[one.function];
  if (!decide) throw new Difference(`a function that this program does not know, ${one.function}`);
  const says = decide(one.given, presets.dev, presets);
  if (says?.[ANY] === undefined) return same("says", one.says, says);
  if (one.says === null ? says[ANY].length > 0 : !says[ANY].includes(one.says)) same("says", one.says, says[ANY]);
}

export function checkPatience(one) {
  const passed = "passedOverInEveryThirdEpochFromThen";
  hasForm("a case", one, "name", "least", "happenings", "patience", passed);
  const patience = patienceAfter(one.happenings, one.least);
  same("patience", one.patience, patience);
  const until = patience?.until ?? -1n;
  const epochs = [];
  for (let epoch = one.happenings.at(-1)[1]; epoch <= until; epoch += 1n) if (epoch % 3n === 0n) epochs.push(epoch);
  same("passed over", one[passed], epochs);
}
