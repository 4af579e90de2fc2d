/** The contacts of the peer: a table of its own, and the same people in the sandboxes. */
import type { Pool } from 'pg';
import { VENDORS } from '../../local/vendor-programs.ts';
import type { Vendor, VendorProcess } from '../../local/vendor-programs.ts';

/** A contact as its table holds it; `ids` are those of the vendors. */
export interface PeerContact {
  ref: string;
  givenName: string;
  familyName: string;
  email: string;
  phone: string;
  organisation: string;
  street: string;
  city: string;
  postcode: string;
  country: string;
  ids: Record<Vendor, string>;
}

const STEP = 5_000;

/** Columns as `PeerContact` names them. */
const COLUMNS = `ref, given_name as "givenName", family_name as "familyName", email, phone, organisation, street, city, postcode, country,
  jsonb_build_object('hubspot', hubspot_id, 'mailchimp', mailchimp_id, 'xero', xero_id) as ids`;

/** Makes the table and `count` people, in it and in each sandbox. */
export async function addPeople(pool: Pool, vendors: Record<Vendor, VendorProcess>, count: number): Promise<void> {
  await pool.query(`create table contacts (ref text primary key, given_name text not null, family_name text not null, email text not null,
    phone text not null, organisation text not null, street text not null, city text not null, postcode text not null,
    country text not null, hubspot_id text, mailchimp_id text, xero_id text)`);
  // Sandboxes that already hold people of another run get others, not the same again.
  const run = Date.now().toString(36);
  for (let at = 0; at < count; at += STEP) {
    const people = Array.from({ length: Math.min(STEP, count - at) }, (_, index) =>
      person(`peer-${run}-${at + index}`),
    );
    const ids = await Promise.all(
      VENDORS.map(async (vendor) => {
        const records = people.map((each) => SEED[vendor](each));
        return (await vendors[vendor].control<{ ids: string[] }>('POST', '/records', records)).ids;
      }),
    );
    const rows = people.map((each, index) => ({
      ...each,
      hubspot: ids[0]![index],
      mailchimp: ids[1]![index],
      xero: ids[2]![index],
    }));
    await pool.query(
      `insert into contacts select r->>'ref', r->>'givenName', r->>'familyName', r->>'email', r->>'phone', r->>'organisation', r->>'street',
         r->>'city', r->>'postcode', r->>'country', r->>'hubspot', r->>'mailchimp', r->>'xero' from jsonb_array_elements($1) r`,
      [JSON.stringify(rows)],
    );
  }
  await pool.query('analyze contacts');
}

/** The newest state of these contacts, by reference. */
export async function load(pool: Pool, refs: readonly string[]): Promise<Map<string, PeerContact>> {
  const { rows } = await pool.query<PeerContact>(`select ${COLUMNS} from contacts where ref = any ($1)`, [refs]);
  return new Map(rows.map((row) => [row.ref, row]));
}

/** Everybody. */
export async function all(pool: Pool): Promise<PeerContact[]> {
  return (await pool.query<PeerContact>(`select ${COLUMNS} from contacts order by ref`)).rows;
}

function person(ref: string): Omit<PeerContact, 'ids'> {
  return {
    ref,
    givenName: 'Given',
    familyName: `Family ${ref}`,
    email: `${ref}@example.com`,
    phone: '+44 20 7946 0123',
    organisation: 'Sample Ltd',
    street: '1 High Street',
    city: 'Leeds',
    postcode: 'LS1 4AP',
    country: 'GB',
  };
}

const SEED: Record<Vendor, (person: Omit<PeerContact, 'ids'>) => unknown> = {
  hubspot: (p) => ({
    properties: { email: p.email, firstname: p.givenName, lastname: p.familyName, lifecyclestage: 'customer' },
  }),
  mailchimp: (p) => ({
    email_address: p.email,
    status: 'subscribed',
    merge_fields: { FNAME: p.givenName, LNAME: p.familyName },
    marketing_permissions: { permit1: true },
  }),
  xero: (p) => ({
    ContactNumber: p.ref,
    Name: `${p.givenName} ${p.familyName}`,
    FirstName: p.givenName,
    LastName: p.familyName,
    EmailAddress: p.email,
  }),
};
