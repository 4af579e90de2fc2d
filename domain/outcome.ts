/**
 * What came of one part (data or consent) of one delivery attempt.
 *
 * Every answer of a vendor becomes exactly one of these; nothing is dropped and nothing is given up by count.
 * `code` is a short stable word without personal data (`email_invalid`); `field` is the vendor's property name;
 * `message` is the vendor's text, masked (no addresses, no quoted values).
 */
export type Outcome =
  /** Written; believed, not yet read back. */
  | { kind: 'applied' }
  /** The vendor already holds it. */
  | { kind: 'unchanged' }
  /** Nothing to do in this system: never there and not to be there. */
  | { kind: 'not_held' }
  /** The address is shared and another contact supplies what the vendor holds under it. */
  | { kind: 'carried'; by: string }
  /** Try again, not before `afterMs`. The call had no effect. */
  | { kind: 'retry'; code: string; afterMs?: number; message?: string }
  /** Bad data: a person must correct the record. */
  | { kind: 'rejected'; code: string; field?: string; message?: string }
  /** The vendor will never accept it (compliance state, forgotten address, block list). */
  | { kind: 'refused'; code: string; message?: string }
  /** Kept for a lawful reason (GDPR Art. 17(3)); looked at again on `reviewOn` (`YYYY-MM-DD`). */
  | { kind: 'retained'; code: string; reviewOn: string; message?: string }
  /** Credentials or scopes are missing: pauses the lane. */
  | { kind: 'unauthorised'; code: string; message?: string }
  /** The call may or may not have happened: look before writing again (never repost blindly). */
  | { kind: 'unknown'; code: string; message?: string }
  /** The vendor shows a stricter consent than was known: a withdrawal to record first, nothing was written. */
  | { kind: 'stricter'; code: string }
  /** The vendor cannot do this at all (declared in the capabilities). */
  | { kind: 'not_supported'; code: string }
  /** Found more than one record, or whose it is cannot be known: a person must say. */
  | { kind: 'ambiguous'; code: string }
  /** An answer that no table knows: an exception with the code, for a person to read. */
  | { kind: 'unclassified'; code: string; message?: string };

export type OutcomeKind = Outcome['kind'];

/** True where the part is settled as wanted (still to be proven by reading back). */
export function isSuccess({ kind }: { kind: string }): boolean {
  return kind === 'applied' || kind === 'unchanged' || kind === 'not_held' || kind === 'carried';
}

/** True where only a person, or a new change of the record, can bring it forward: an exception. */
export function needsPerson(outcome: Outcome): boolean {
  switch (outcome.kind) {
    case 'rejected':
    case 'refused':
    case 'ambiguous':
    case 'not_supported':
    case 'unclassified':
      return true;
    case 'applied':
    case 'unchanged':
    case 'not_held':
    case 'carried':
    case 'retry':
    case 'retained':
    case 'unauthorised':
    case 'unknown':
    case 'stricter':
      return false;
  }
}

/** The code to keep beside the kind in the ledger; `null` for plain success. */
export function codeOf(outcome: Outcome): string | null {
  return 'code' in outcome ? outcome.code : null;
}
