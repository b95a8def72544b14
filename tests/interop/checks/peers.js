// peers/: presence, absence and evidence.
import { Refused } from "../lib/cbor.js";
import { Clock } from "../lib/chain.js";
import { readMessage } from "../lib/messages.js";
import { absentSessions, isSignedPresence, newestHeard, proven } from "../lib/peers.js";
import { hasForm, same } from "../lib/vectors.js";

function readOrNull(schema, rule, encoded) {
  try {
    return readMessage(schema, rule, encoded);
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

export async function checkEvidence(one, { schema, signing, file }) {
  hasForm("a case", one, "name", "encoded", "proves", "refused");
  const piece = readOrNull(schema, "evidence", one.encoded);
  const actual = piece && (await proven(piece, signing, new Clock(file.constants, file.genesisMs)));
  same("proves", one.proves, actual);
  same("is refused", one.refused !== null, piece === null || (actual === null && piece.rule !== "default"));
}

export async function checkPresence(one, { schema, signing }) {
  hasForm("a case", one, "name", "encoded", "alive", "refused");
  const presence = readOrNull(schema, "presence", one.encoded);
  const isAlive = presence !== null && (await isSignedPresence(presence, signing));
  same("alive", one.alive, isAlive ? { session: presence.session, epoch: presence.epoch } : null);
  same("is refused", one.refused !== null, !isAlive);
}

export function checkNewest(one) {
  hasForm("a case", one, "name", "clockEpoch", "heard", "newest");
  same("newest", one.newest, newestHeard(one.heard, one.clockEpoch));
}

export function checkAbsence(one) {
  hasForm("a case", one, "name", "deadS", "nowMs", "syncedMs", "sessions", "aliveMs", "absent");
  same("absent", one.absent, absentSessions(one));
}
