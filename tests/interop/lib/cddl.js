// Reads protocol/orrange.cddl (RFC 8610, the part that the file uses) into checks that also name what they read: an
// array becomes an object with its member names in camel case, `parts` for members without a name, and `rule`, the name
// it has in the schema; `bstr .cbor x` becomes {bytes, value}. Anything unknown in the file is an error, so that
// nothing goes unchecked in silence.
import { decode, Refused } from "./cbor.js";

const TOKEN = /^(\.\.|\.[a-z]+|\d*\*\d*|[?+[\]()/=,:]|[a-z][a-z0-9-]*|\d+)/;
const PRELUDE = {
  uint: (value) => expect(typeof value === "bigint", "an unsigned integer", value),
  bstr: (value) => expect(typeof value === "string", "bytes", value),
  bool: (value) => expect(typeof value === "boolean", "a boolean", value),
};

function expect(holds, what, value) {
  if (!holds) throw new Refused(`expected ${what}, was ${shown(value)}`);
  return value;
}

function shown(value) {
  const text = JSON.stringify(value, (_, part) => (typeof part === "bigint" ? part.toString() : part));
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

const camel = (name) => name.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase());
const length = (hex) => BigInt(hex.length / 2 - 1);

function split(text) {
  const tokens = [];
  let rest = text.replace(/;[^\n]*/g, "").trim();
  while (rest) {
    const found = TOKEN.exec(rest);
    if (!found) throw new SyntaxError(`expected CDDL of the known part, was ${rest.slice(0, 40)}`);
    tokens.push(found[0]);
    rest = rest.slice(found[0].length).trimStart();
  }
  return tokens;
}

export class Schema {
  constructor(text) {
    this.tokens = split(text);
    this.rules = new Map();
    while (this.tokens.length > 0) {
      const name = this.tokens.shift();
      this.take("=");
      if (this.rules.has(name)) throw new SyntaxError(`${name} is there twice`);
      this.rules.set(name, this.choice(name));
    }
    for (const name of this.used) this.rule(name);
  }

  used = new Set();

  // Reads bytes as one message of a rule.
  read(rule, hex) {
    return this.rule(rule)(decode(hex));
  }

  rule(name) {
    const check = Object.hasOwn(PRELUDE, name) ? PRELUDE[name] : this.rules.get(name);
    if (!check) throw new SyntaxError(`expected a rule of the schema, was ${name}`);
    return check;
  }

  take(token) {
    const taken = this.tokens.shift();
    if (taken !== token) throw new SyntaxError(`expected ${token}, was ${taken}`);
  }

  skip(token) {
    const is = this.tokens[0] === token;
    if (is) this.tokens.shift();
    return is;
  }

  choice(name) {
    const options = [this.single(name)];
    while (this.skip("/")) options.push(this.single(name));
    if (options.length === 1) return options[0];
    return (value) => {
      const reasons = [];
      for (const option of options) {
        try {
          return option(value);
        } catch (error) {
          if (!(error instanceof Refused)) throw error;
          reasons.push(error.message);
        }
      }
      throw new Refused(`none of the choices: ${reasons.join("; or ")}`);
    };
  }

  single(name) {
    const token = this.tokens.shift();
    if (token === "[") return this.array(name);
    if (/^\d/.test(token)) return this.range(BigInt(token));
    if (!/^[a-z]/.test(token)) throw new SyntaxError(`expected a type, was ${token}`);
    this.used.add(token);
    if (this.tokens[0]?.startsWith(".")) return this.control(token, this.tokens.shift());
    return (value) => this.rule(token)(value);
  }

  range(low) {
    const high = this.skip("..") ? this.number() : low;
    return (value) => expect(typeof value === "bigint" && low <= value && value <= high, `${low} to ${high}`, value);
  }

  control(name, operator) {
    if (operator === ".cbor") {
      const nested = this.tokens.shift();
      this.used.add(nested);
      return (value) => ({ bytes: this.rule(name)(value), value: this.read(nested, value) });
    }
    const [low, high] = this.bounds();
    const measure = { ".size": length, ".le": (value) => value }[operator];
    if (!measure || (operator === ".le" && low !== high)) throw new SyntaxError(`unknown: ${operator} ${low}..${high}`);
    const least = operator === ".le" ? 0n : low;
    const check = (measured) => least <= measured && measured <= high;
    return (value) => expect(check(measure(this.rule(name)(value))), `${name} ${operator} ${low}..${high}`, value);
  }

  // A number, or two as (low..high).
  bounds() {
    const isPair = this.skip("(");
    const low = this.number();
    if (!isPair) return [low, low];
    this.take("..");
    const high = this.number();
    this.take(")");
    return [low, high];
  }

  number() {
    const token = this.tokens.shift();
    if (!/^\d+$/.test(token)) throw new SyntaxError(`expected a number, was ${token}`);
    return BigInt(token);
  }

  array(name) {
    const members = [];
    while (!this.skip("]")) {
      members.push(this.member());
      if (this.tokens[0] !== "]") this.take(",");
    }
    const isList = members.length === 1 && members[0].key === null && members[0].most > 1n;
    return (value) => {
      const parts = fit(members, expect(Array.isArray(value), "an array", value));
      if (isList) return parts[0];
      const named = members.flatMap(({ key }, at) => (key === null ? [] : [[key, parts[at]]]));
      const rest = parts.filter((_, at) => members[at].key === null && !members[at].isLiteral);
      return { rule: name, ...Object.fromEntries(named), ...(rest.length > 0 ? { parts: rest } : {}) };
    };
  }

  member() {
    const [least, most] = this.occurrence();
    const isNamed = this.tokens[1] === ":";
    const key = isNamed ? camel(this.tokens.shift()) : null;
    if (isNamed) this.take(":");
    const isLiteral = key === null && /^\d+$/.test(this.tokens[0]);
    return { key, least, most, isLiteral, check: this.choice(key) };
  }

  occurrence() {
    if (!this.tokens[0].includes("*")) return [1n, 1n];
    const [low, high] = this.tokens.shift().split("*");
    return [BigInt(low || 0), high ? BigInt(high) : 1n << 64n];
  }
}

// What each member of an array read; a repeated member takes all that is left, so it stands last or alone.
function fit(members, values) {
  let cursor = 0;
  const parts = members.map(({ least, most, check }) => {
    if (least === 1n && most === 1n) {
      expect(cursor < values.length, `${members.length} fields`, values);
      return check(values[cursor++]);
    }
    const rest = values.slice(cursor).map(check);
    cursor = values.length;
    expect(least <= rest.length && rest.length <= most, `${least} to ${most} of them`, rest.length);
    return rest;
  });
  expect(cursor === values.length, `${cursor} fields`, values.length);
  return parts;
}
