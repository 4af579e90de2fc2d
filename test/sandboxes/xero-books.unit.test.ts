/** The sandbox's orders and look-ups are those of a state gone through anew. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Books, folded } from '../../sandboxes/xero/books.ts';
import type { Contact, State } from '../../sandboxes/xero/books.ts';
import { COMPARE } from '../../sandboxes/xero/read.ts';
import { fresh } from '../../sandboxes/xero/write.ts';

const IDS = ['a', 'b', 'c', 'd', 'e', 'f'];

const step = fc.oneof(
  fc.record({
    put: fc.record({
      ContactID: fc.constantFrom(...IDS),
      Name: fc.constantFrom('Ada', 'ada ', 'Bo', 'Cy'),
      EmailAddress: fc.constantFrom('ada@example.com', 'Ada@example.com', ''),
      // The vendor's rule is that no two have the same.
      ContactNumber: fc.constantFrom('new', 'old'),
      ContactStatus: fc.constantFrom('ACTIVE' as const, 'ARCHIVED' as const),
      _updatedMs: fc.nat(5),
    }),
  }),
  fc.record({ remove: fc.constantFrom(...IDS) }),
);

function nothing(): State {
  return { contacts: {}, refreshTokens: [], accessTokens: [], tokensIssued: 0, remembered: [] };
}

function numberOf({ ContactID, ContactNumber }: { ContactID: string; ContactNumber: string }): string {
  return `${ContactID}-${ContactNumber}`;
}

test('after any puts and removals', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.nat(30), (steps, firstLook) => {
      const books = new Books(nothing());
      for (const [at, one] of steps.entries()) {
        // From here on the orders are kept; before, they are not there yet.
        if (at === firstLook) for (const [order, compare] of Object.entries(COMPARE)) books.sorted(order, compare);
        if ('put' in one) books.put({ ...fresh(), ...one.put, ContactNumber: numberOf(one.put) });
        else books.remove(one.remove);
      }
      for (const [order, compare] of Object.entries(COMPARE)) {
        expect(books.sorted(order, compare)).toEqual(Object.values(books.state.contacts).toSorted(compare));
      }
      const contacts = Object.values(books.state.contacts);
      for (const ContactNumber of IDS.flatMap((ContactID) =>
        ['new', 'old'].map((which) => numberOf({ ContactID, ContactNumber: which })),
      )) {
        expect(books.numbered(ContactNumber)).toBe(contacts.find((c) => c.ContactNumber === ContactNumber));
      }
      const byId = (list: Contact[]): Contact[] => list.toSorted(COMPARE['CONTACTID']);
      for (const [field, value] of [
        ['Name', 'ADA'],
        ['Name', 'Bo'],
        ['EmailAddress', 'ada@example.com'],
        ['EmailAddress', ''],
      ] as const) {
        const same = contacts.filter((c) => c[field] !== undefined && folded(c[field]) === folded(value));
        expect(byId(books.having(field, value))).toEqual(byId(same));
      }
    }),
  );
});
