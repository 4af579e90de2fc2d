/** The sandbox's look-ups and orders are those of a state gone through anew, whatever was done to it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Books } from '../../sandboxes/xero/books.ts';
import type { Contact, State } from '../../sandboxes/xero/books.ts';
import { fresh } from '../../sandboxes/xero/write.ts';

const IDS = ['a', 'b', 'c', 'd', 'e', 'f'];

const step = fc.oneof(
  fc.record({
    put: fc.record({
      ContactID: fc.constantFrom(...IDS),
      Name: fc.constantFrom('Ada', 'ada ', 'Bo', 'Cy'),
      // The vendor's rule is that no two have the same.
      ContactNumber: fc.constantFrom('new', 'old'),
      ContactStatus: fc.constantFrom('ACTIVE' as const, 'ARCHIVED' as const),
      _updatedMs: fc.nat(5),
    }),
  }),
  fc.record({ remove: fc.constantFrom(...IDS) }),
);

const ORDERS = {
  id: (a: Contact, b: Contact) => (a.ContactID < b.ContactID ? -1 : 1),
  changed: (a: Contact, b: Contact) => a._updatedMs - b._updatedMs || (a.ContactID < b.ContactID ? -1 : 1),
} as const;

function compareBy(order: keyof typeof ORDERS): (a: Contact, b: Contact) => number {
  return (a, b) => (a.ContactID === b.ContactID && a._updatedMs === b._updatedMs ? 0 : ORDERS[order](a, b));
}

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
        if (at === firstLook) for (const order of ['id', 'changed'] as const) books.sorted(order, compareBy(order));
        if ('put' in one) books.put({ ...fresh(), ...one.put, ContactNumber: numberOf(one.put) });
        else books.remove(one.remove);
      }
      for (const order of ['id', 'changed'] as const) {
        const anew = Object.values(books.state.contacts).toSorted(compareBy(order));
        expect(books.sorted(order, compareBy(order))).toEqual(anew);
      }
      const contacts = Object.values(books.state.contacts);
      for (const ContactNumber of IDS.flatMap((ContactID) =>
        ['new', 'old'].map((which) => numberOf({ ContactID, ContactNumber: which })),
      )) {
        expect(books.numbered(ContactNumber)).toBe(contacts.find((c) => c.ContactNumber === ContactNumber));
      }
    }),
  );
});
