// eip712/: what a struct hashes to under a domain.
import { Signing } from "../lib/eip712.js";
import { hasForm, same } from "../lib/vectors.js";

export function checkTyped({ name, domain, message, ...answer }, { typed, file }) {
  hasForm("an answer", answer, "structHash", "digest");
  hasForm("the domain", domain, "name", "version", "chainId", "verifyingContract");
  same("domain", typed.domain, { name: domain.name, version: String(domain.version) });
  const { chainId, verifyingContract } = domain;
  const signing = new Signing(typed, { chainId, settlement: verifyingContract });
  hasForm("the message", message, ...typed.types[file.primaryType].map((field) => field.name));
  same("struct hash", answer.structHash, signing.structHash(file.primaryType, message));
  same("digest", answer.digest, signing.digest(file.primaryType, message));
}
