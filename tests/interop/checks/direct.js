// peers/: payment instructions and their receipts.
import { checkReceiptOf, openBox, receiptFor } from "../lib/direct.js";
import { Refused } from "../lib/cbor.js";
import { hasForm, same } from "../lib/vectors.js";

// What comes of it, or null and that it was refused; anything but a refusal is a bug of this program.
function outcome(make) {
  try {
    return { value: make() ?? null, isRefused: false };
  } catch (error) {
    if (error instanceof Refused) return { value: null, isRefused: true };
    throw error;
  }
}

export function checkInstructions(one) {
  hasForm("a case", one, "name", "readerSecret", "writerKey", "ticket", "version", "box", "text", "refused");
  const { value, isRefused } = outcome(() => openBox(one));
  same("text", one.text, value);
  same("is refused", one.refused !== null, isRefused);
}

export function checkAnswer(one) {
  hasForm("a case", one, "name", "role", "isFromSeller", "held", "version", "receipt", "refused");
  const { value, isRefused } = outcome(() => receiptFor(one));
  same("receipt", one.receipt, value);
  same("is refused", one.refused !== null, isRefused);
}

export function checkReceipt(one) {
  hasForm("a case", one, "name", "ticket", "version", "receiptTicket", "receiptVersion", "refused");
  same("is refused", one.refused !== null, outcome(() => checkReceiptOf(one)).isRefused);
}
