// Vector files as protocol/vectors/README.md has them, in the values of this program: decimal strings become BigInt,
// snake case camel case.

export class Difference extends Error {}

const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());

export function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [camel(name), revive(part)]));
  }
  return typeof value === "string" && /^-?\d+$/.test(value) ? BigInt(value) : value;
}

export const show = (value) => JSON.stringify(value, (_, part) => (typeof part === "bigint" ? part.toString() : part));

// Throws a Difference unless both are the same value. Said short: around the first character that differs.
export function same(what, expected, actual) {
  const [left, right] = [show(expected), show(actual)];
  if (left === right) return;
  let at = 0;
  while (left[at] === right[at]) at += 1;
  const part = (text) => (text.length > 160 ? `...${text.slice(Math.max(0, at - 40), at + 100)}...` : text);
  throw new Difference(`${what}: expected ${part(left)}, was ${part(right)}`);
}

// A file or case that has another form than the program knows would be checked in part only.
export function hasForm(what, value, ...names) {
  same(`the form of ${what}`, [...names].sort(), Object.keys(value).sort());
}
