// reputation/: decays, and scores with what they are made of.
import { decay, Record } from "../lib/reputation.js";
import { hasForm, same } from "../lib/vectors.js";

export function checkDecay(one) {
  hasForm("a case", one, "name", "fromDay", "decay");
  same(
    "decay",
    one.decay,
    one.decay.map((_, day) => decay(one.fromDay + BigInt(day))),
  );
}

export function checkScores(one) {
  hasForm("a case", one, "name", "periodS", "anchor", "blocks", "owners");
  const until = one.blocks.filter(({ number }) => one.anchor !== null && number <= one.anchor);
  const record = new Record(until, one.periodS);
  for (const expected of one.owners) {
    const actual = record.score(expected.owner);
    hasForm("an owner", expected, ...Object.keys(actual));
    for (const name of Object.keys(actual)) same(`${name} of ${expected.owner}`, expected[name], actual[name]);
  }
}
