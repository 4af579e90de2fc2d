/** What a person can do about a problem, by its code; else by its kind. */

const BY_CODE: Record<string, string> = {
  address_refused:
    'The host is not one of this system, or its name leads inside a network: see baseUrl and privateAddresses of the system.',
  certificate_refused:
    'The vendor’s certificate does not stand: find out who answers there, and whether this machine’s clock is right.',
  token_refused: 'The vendor refuses the token: make a new one there and put it where the configuration reads it.',
  refresh_token_refused:
    'The app was disconnected at the vendor or its refresh token ran out: connect it again and put the new refresh token where the configuration reads it.',
  client_refused:
    'The vendor does not know our client id or secret: compare them with the app’s page there, and put the right ones where the configuration reads them.',
  grant_refused: 'The vendor no longer lets this custom connection in: authorise it there again.',
  missing_scopes: 'The app lacks a scope: add it at the vendor and connect again.',
  scope_missing:
    'The app lacks a scope (accounting.contacts, accounting.transactions.read): add it at the vendor and connect again.',
  tenant_refused: 'The app is not connected to the configured organisation any more: connect it again.',
  forbidden: 'The account may not do this: look at its rights, or its plan, at the vendor.',
  email_invalid: 'Correct the address in the record.',
  address_taken: 'Another record at the vendor has this address: merge them there, or correct the address, then retry.',
  no_such_property:
    'The vendor lacks a mapped property: make it there or take it out of the mapping, then retry the system.',
  no_such_option: 'The vendor does not know this value: add the option there, or change the mapping.',
  forgotten_address: 'The vendor erased this address for good and never takes it back. Use another channel.',
  compliance_state: 'The vendor refuses until the person signs up again by themselves.',
  unsubscribed_by_person: 'The person unsubscribed at the vendor; only they can undo it there.',
  several_records_match: 'Several records at the vendor match: merge them there, then retry the contact.',
  record_of_another: 'The record at the vendor belongs to somebody else: look at both, then retry the contact.',
  erased_person: 'This person was erased and must not come back: remove the contact, or find out how it came in.',
  reads_back_different:
    'The vendor changes this value after each write: change the mapping or the field at the vendor.',
};

const BY_KIND: Record<string, string> = {
  unauthorised: 'The vendor refuses our credentials: renew them.',
  rejected: 'Correct the data in the record; the change is tried at once.',
  refused: 'The vendor will not accept it. Nothing more is sent until something changes.',
  ambiguous: 'Find out at the vendor whose record it is, then retry the contact.',
  not_supported: 'The vendor cannot do this: do it there by hand and note it.',
  mismatch: 'The vendor gives back something else: look at the field there.',
  suppressed: 'An erased person: find out how the record came in.',
  unclassified: 'An answer that is not known yet: read the message, then retry.',
};

export function adviceFor(kind: string, code: string | null): string {
  return (code === null ? undefined : BY_CODE[code]) ?? BY_KIND[kind] ?? 'Read the message, then retry.';
}
