// sync/: roots of heads, and what answers of set reconciliation teach.
import { Refused } from "../lib/cbor.js";
import { element, readAnswer, root, salted, within } from "../lib/heads.js";
import { readMessage } from "../lib/messages.js";
import { end, number } from "../lib/places.js";
import { hasForm, same, show } from "../lib/vectors.js";

const ANSWER = ["name", "mine", "asked", "answer", "held", "refused", "theirs", "ours", "further"];
const bare = (heads) => heads.map(({ session, nextSeq, headHash }) => ({ session, nextSeq, headHash }));

export function checkRoots(one) {
  hasForm("a case", one, "name", "salt", "heads", "elements", "ids", "ranges");
  for (const head of one.heads) hasForm("a head", head, "session", "nextSeq", "headHash");
  const elements = one.heads.map(element);
  same("elements", one.elements, elements);
  same(
    "ids",
    one.ids,
    elements.map((digest) => salted(one.salt, digest)),
  );
  for (const range of one.ranges) {
    hasForm("a range", range, "from", "to", "root", "fingerprint");
    const digest = root(within(one.heads, number(range.from), end(range.to)));
    same("root", range.root, digest);
    same("fingerprint", range.fingerprint, salted(one.salt, digest));
  }
}

export function checkAnswer(one, { schema }) {
  hasForm("a case", one, ...ANSWER);
  const [asked, answer] = [one.asked, one.answer].map((frame) => readMessage(schema, "sync-frame", frame));
  let found = null;
  try {
    found = readAnswer(one.mine, asked, answer);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
  same("is refused", one.refused !== null, found === null);
  if (found === null) return;
  same("theirs", one.theirs, bare(found.theirs));
  same("ours", one.ours, bare(found.ours));
  same("further", one.further, found.further);
  if (one.held === null || answer.spans.length > 0) return;
  const asText = (heads) => show(bare(heads));
  same("all that differs is found", asText(one.held), asText(merged(one)));
}

// What an asker holds after it has learned everything: its heads without those the other lacks, and the other's.
function merged({ mine, ours, theirs }) {
  const lost = new Set(ours.map(({ session }) => session));
  const heads = [...mine.filter(({ session }) => !lost.has(session)), ...theirs];
  return heads.sort((one, other) => (one.session < other.session ? -1 : 1));
}
