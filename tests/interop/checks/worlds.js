// feeds/ and book/: what feeds mean, and the book of an epoch.
import { keccak256 } from "viem";
import { buildBook } from "../lib/book.js";
import { Refused } from "../lib/cbor.js";
import { Clock } from "../lib/chain.js";
import { readPossibleStart, readStart } from "../lib/checkpoints.js";
import { feedsOf, readSoundEntry } from "../lib/feeds.js";
import { readMessage } from "../lib/messages.js";
import { ordersOf } from "../lib/orders.js";
import { hasForm, same } from "../lib/vectors.js";

export const WORLD = ["domain", "market", "constants", "genesisMs"];

// The entry if it is sound, else null.
async function soundOrNull(encoded, { schema, signing }) {
  try {
    return await readSoundEntry(schema, signing, encoded);
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

export async function checkFeeds(one, { schema, signing, file }) {
  hasForm("a case", one, "name", "entries", "feeds");
  const { market, constants, genesisMs } = file;
  const world = { market, clock: new Clock(constants, genesisMs), signing };
  const sound = [];
  for (const [at, { encoded, refused, ...more }] of one.entries.entries()) {
    hasForm(`entry ${at}`, more);
    const entry = await soundOrNull(encoded, { schema, signing });
    same(`entry ${at} is sound`, refused === null, entry !== null);
    if (entry) sound.push(entry);
  }
  const feeds = await feedsOf(sound, signing.digest("Market", market), world);
  const answers = feeds.map(async (feed) => ({
    session: feed.session,
    nextSeq: feed.nextSeq,
    standingEntries: BigInt(feed.standing.length),
    forkedSeq: feed.forkedSeq,
    orders: (await ordersOf(feed, world)).map((order) => ({
      orderId: order.id,
      place: order.place,
      claimedEpoch: order.claimedEpoch,
      isCancelled: order.cancelled !== null,
    })),
  }));
  same("feeds", one.feeds, await Promise.all(answers));
}

// Whether a feed may begin there, as far as the start alone tells ([FEED-16]).
export async function checkStart(one, { schema, signing, file }) {
  hasForm("a case", one, "name", "entry", "bodies", "refused");
  const { market, constants, genesisMs } = file;
  const world = { market, clock: new Clock(constants, genesisMs), signing };
  const entry = await readSoundEntry(schema, signing, one.entry);
  const bodies = one.bodies.map((bytes) => ({ bytes, value: readMessage(schema, "item", bytes) }));
  let isTaken = true;
  try {
    await readPossibleStart(entry, bodies, world);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    isTaken = false;
  }
  same("the start is taken", one.refused === null, isTaken);
}

export async function checkBook(one, { schema, signing, file }) {
  hasForm("a case", one, "name", "epoch", "entries", "blocks", "book", "digest", ...(one.starts ? ["starts"] : []));
  const { market, constants, genesisMs } = file;
  const read = await Promise.all(one.entries.map((encoded) => soundOrNull(encoded, { schema, signing })));
  const starts = (one.starts ?? []).map(async ({ entry, bodies }) =>
    readStart(
      await readSoundEntry(schema, signing, entry),
      bodies.map((bytes) => ({ bytes, value: readMessage(schema, "item", bytes) })),
    ),
  );
  const world = {
    entries: read.filter((entry) => entry !== null),
    starts: await Promise.all(starts),
    blocks: one.blocks,
    market,
    marketId: signing.digest("Market", market),
    clock: new Clock(constants, genesisMs),
    signing,
    convicted: one.convicted ?? [],
    quotePerBond: file.quotePerBond ?? 0n,
  };
  const book = await buildBook(world, one.epoch);
  same("book bytes", one.book, book);
  same("book digest", one.digest, keccak256(book));
}
