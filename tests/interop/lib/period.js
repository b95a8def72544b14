// The period that an epoch is of: its anchor, its beacon and who has a bond then ([MATCH-12]).
import { keccak256 } from "viem";
import { ChainView, blockAt } from "./chain.js";

// {beacon, bonded} of an epoch; null while the anchor is unknown. `bonded` is null where no bonds are needed.
export function periodOf({ blocks, epoch, market }, clock) {
  const period = (epoch * clock.epochMs) / (clock.periodS * 1000n);
  const limitS = clock.genesisMs / 1000n + period * clock.periodS - clock.beaconLagS;
  const isAnyThatEarly = blocks.some(({ timeS }) => timeS <= limitS);
  const anchor = blockAt(blocks, limitS);
  if (blocks.length === 0 || (isAnyThatEarly && anchor === null)) return null;
  const { bonds } = new ChainView(blocks, anchor, market, {});
  const bonded = [...bonds].filter(([, amount]) => amount > 0n).map(([owner]) => owner);
  const beacon = anchor === null ? keccak256(market) : anchor.hash;
  return { beacon, bonded: clock.bondMultiple > 0n ? bonded.sort() : null };
}
