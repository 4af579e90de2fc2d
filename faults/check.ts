/** What must be true at a quiet point, seen from the vendors' own records, the record, the ledger and the audit log. */
import { rows } from '../store/db.ts';
import { sealAudit, verifyAudit } from '../store/audit.ts';
import type { AuditVerdict } from '../store/audit.ts';
import { NEEDS_PERSON } from '../store/delivery-views.ts';
import { VENDORS } from '../local/vendor-programs.ts';
import type { Vendor } from '../local/vendor-programs.ts';

import type { Installation } from './installation.ts';
import type { People, Person } from './people.ts';

type Tree = Record<string, unknown>;

interface Held {
  familyName: string;
  city: string | null;
  /** Whether the newsletter may be sent, as far as the vendor knows; null where it keeps no consent. */
  subscribed: boolean | null;
  archived: boolean;
}

const READ: Record<Vendor, (record: Tree) => Held> = {
  hubspot(record) {
    const properties = (record['properties'] ?? {}) as Record<string, string | null>;
    const states = (record['_subscriptions'] ?? {}) as Record<string, string>;
    return {
      familyName: properties['lastname'] ?? '',
      city: properties['city'] ?? '',
      subscribed: states['1001'] === 'SUBSCRIBED',
      archived: record['archived'] === true,
    };
  },
  mailchimp(record) {
    const fields = (record['merge_fields'] ?? {}) as Record<string, string>;
    return {
      familyName: fields['LNAME'] ?? '',
      city: null,
      subscribed: record['status'] === 'subscribed',
      archived: record['status'] === 'archived',
    };
  },
  xero: (record) => ({
    familyName: (record['LastName'] as string | undefined) ?? '',
    city: null,
    subscribed: null,
    archived: record['ContactStatus'] === 'ARCHIVED',
  }),
};

const PAGE = 5_000;

/** Address → the records that hold it anywhere, in whatever field. */
async function heldAt({ vendors }: Installation, vendor: Vendor): Promise<Map<string, Held[]>> {
  const held = new Map<string, Held[]>();
  for (let offset = 0; ; offset += PAGE) {
    const path = `/records?offset=${offset}&limit=${PAGE}`;
    const { records } = await vendors[vendor].control<{ records: Tree[] }>('GET', path);
    for (const record of records) {
      const addresses = new Set(
        JSON.stringify(record)
          .toLowerCase()
          .match(/[^"\s]+@[^"\s]+/g),
      );
      for (const address of addresses) held.set(address, [...(held.get(address) ?? []), READ[vendor](record)]);
    }
    if (records.length < PAGE) return held;
  }
}

interface Row {
  id: string;
  state: string;
  familyName: string | null;
  city: string | null;
  email: string | null;
}

/** Sentences, each naming what is broken; empty when all holds. `people` learns here what had not been answered. */
export async function violations(installation: Installation, people: People): Promise<string[]> {
  const { db } = installation;
  const found: string[] = [];
  const record = await rows<Row>(
    db,
    `select id, state, family_name as "familyName", city, emails[1] as email from contacts`,
  );
  const byId = new Map(record.map((r) => [r.id, r]));
  const byEmail = new Map(record.map((r) => [r.email, r]));
  const held = Object.fromEntries(
    await Promise.all(VENDORS.map(async (vendor) => [vendor, await heldAt(installation, vendor)] as const)),
  ) as Record<Vendor, Map<string, Held[]>>;
  const given = new Set(
    (
      await rows<{ id: string }>(
        db,
        `select contact_id as id from consent_events group by 1
       having bool_or(kind = 'given') and not bool_or(kind = 'withdrawn')`,
      )
    ).map((r) => r.id),
  );

  for (const person of people.all) {
    const row = person.id === null ? byEmail.get(person.email) : byId.get(person.id);
    if (row === undefined) {
      if (person.id !== null) found.push(`I1 an accepted contact is not in the record`);
      continue;
    }
    person.id = row.id;
    found.push(...recordOf(person, row, people));
    for (const vendor of VENDORS)
      found.push(...vendorOf(person, row, vendor, held[vendor].get(person.email) ?? [], given.has(row.id)));
  }
  if (people.city?.certain === true) {
    const late = record.filter((r) => r.state === 'active' && r.city !== null && r.city !== people.city?.value);
    if (late.length > 0) found.push(`I1 ${late.length} contacts are without the last accepted change of everybody`);
  }
  found.push(...(await ledgerOf(installation)));
  return found;
}

function recordOf(person: Person, row: Row, people: People): string[] {
  const found: string[] = [];
  if (person.emptied === 'maybe' && row.state !== 'active')
    person.emptied = row.state === 'erased' ? 'erased' : 'purged';
  else if (person.emptied === 'maybe') person.emptied = 'no';
  if (person.emptied !== 'no') {
    if (row.state !== person.emptied)
      found.push(`I4 a contact that was ${person.emptied} is ${row.state} in the record`);
    if (row.familyName !== null || row.email !== null) found.push('I4 an emptied contact still has data in the record');
    return found;
  }
  if (row.familyName === person.familyName || person.maybeNames.includes(row.familyName ?? '')) {
    person.familyName = row.familyName ?? '';
    person.maybeNames = [];
  } else found.push('I1 an accepted correction is not in the record');
  if (people.city !== null && !people.city.certain && row.city !== null)
    people.city = { value: row.city, certain: false };
  return found;
}

function vendorOf(person: Person, row: Row, vendor: Vendor, mine: Held[], mayReceive: boolean): string[] {
  const found: string[] = [];
  if (person.emptied === 'erased') {
    if (mine.length > 0) found.push(`I4 ${vendor} still holds ${row.id}, who was erased`);
    return found;
  }
  const present = mine.filter((h) => !h.archived);
  if (person.emptied === 'purged') {
    if (present.length > 0) found.push(`I4 ${vendor} still shows ${row.id}, who was purged`);
    return found;
  }
  if (present.length > 1) found.push(`I6 ${vendor} holds ${row.id} ${present.length} times`);
  const [one] = present;
  const belongs = vendor !== 'mailchimp' || mayReceive;
  if (one === undefined) {
    if (belongs) found.push(`I8 ${vendor} does not hold ${row.id}, who belongs there`);
    return found;
  }
  if (one.familyName !== row.familyName) found.push(`I2 ${vendor} holds another name of ${row.id} than the record`);
  if (vendor === 'hubspot' && (one.city ?? '') !== (row.city ?? ''))
    found.push(`I2 hubspot holds another city of ${row.id} than the record`);
  if (!mayReceive && one.subscribed === true)
    found.push(`I3 ${vendor} may write to one who withdrew or never consented`);
  if (person.withdrawn && one.subscribed === true) found.push(`I3 ${vendor} undid a withdrawal`);
  return found;
}

/** Named problems, by system and code: a fault may leave one, and says so. */
async function problemsOf({ db }: Installation): Promise<{ system: string; code: string; n: number }[]> {
  return rows(
    db,
    `select system, coalesce(data_code, consent_code, data_outcome) as code, count(*)::integer as n from deliveries
     where data_outcome in ${NEEDS_PERSON} or consent_outcome in ${NEEDS_PERSON}
     group by 1, 2`,
  );
}

/** @returns how many systems had problems to try again */
export async function retryProblems(installation: Installation): Promise<number> {
  const systems = new Set((await problemsOf(installation)).map((p) => p.system));
  for (const system of systems) await installation.call('POST', `/v1/systems/${system}/retry`, {});
  return systems.size;
}

/** What was found good of the audit log. */
const verified = new WeakMap<Installation, AuditVerdict>();

async function sealedVerdict(db: Installation['db'], after?: AuditVerdict): Promise<AuditVerdict> {
  while ((await sealAudit(db)) > 0);
  return verifyAudit(db, after === undefined ? {} : { after });
}

/** The whole audit log, at the end of a campaign. @returns sentences, empty when it verifies */
export async function wholeLog({ db }: Installation): Promise<string[]> {
  const { problem } = await sealedVerdict(db);
  return problem === null ? [] : [`I5 the audit log as a whole does not verify: ${problem.kind}`];
}

async function ledgerOf(installation: Installation): Promise<string[]> {
  const { db } = installation;
  const found: string[] = [];
  for (const { system, code, n } of await problemsOf(installation))
    found.push(`I8 ${n} deliveries of ${system} are problems: ${code}`);
  const silent = await rows<{ n: number }>(
    db,
    `select count(*)::integer as n from deliveries d where d.presence = 'present' and not exists (
       select 1 from audit a where a.contact_id = d.contact_id and a.system = d.system and a.kind = 'delivery.verified')`,
  );
  if ((silent[0]?.n ?? 0) > 0) found.push(`I5 ${silent[0]?.n} deliveries count as read back without an audit entry`);
  // From the last quiet point on: the log of a night has millions of entries. Its end is looked at whole.
  const verdict = await sealedVerdict(db, verified.get(installation));
  verified.set(installation, verdict);
  if (verdict.problem !== null) found.push(`I5 the audit log does not verify: ${verdict.problem.kind}`);
  const versions = await rows<{ n: number }>(
    db,
    `select count(*)::integer as n from contacts c left join (
       select contact_id, count(*) as n from audit where kind like 'contact.%' and version is not null group by 1) a on a.contact_id = c.id
     where c.version <> coalesce(a.n, 0)`,
  );
  if ((versions[0]?.n ?? 0) > 0) found.push(`I5 ${versions[0]?.n} contacts have versions without an audit entry`);
  return found;
}

/** What the ledger and the audit log say of the contacts that a violation names. */
export async function background({ db }: Installation, found: readonly string[]): Promise<string[]> {
  const ids = found.flatMap((text) => /[0-9a-f-]{36}/.exec(text) ?? []);
  const told = await rows<{ text: string }>(
    db,
    `select d.contact_id || ' ' || d.system || ': wanted ' || d.wanted || ' settled ' || d.settled || ' ' || coalesce(d.presence, '-') || ' '
       || coalesce(d.data_outcome, '-') || '/' || coalesce(d.consent_outcome, '-') || ' version ' || coalesce(d.contact_version::text, '-')
       || ' of ' || c.version || ', ids ' || (select count(*) from external_ids e where e.contact_id = d.contact_id and e.system = d.system and not e.former)
       || '; ' || coalesce((select string_agg(a.kind || ' ' || coalesce(a.detail ->> 'data', '') || ' ' || coalesce(a.detail ->> 'dataCode', ''), ', ' order by a.id)
          from audit a where a.contact_id = d.contact_id and (a.system = d.system or a.system is null)), '') as text
     from deliveries d join contacts c on c.id = d.contact_id where d.contact_id = any (?::uuid[]) order by 1`,
    [ids],
  );
  return told.map((t) => t.text);
}

/** Opens lanes that paused themselves, as an operator would. @returns how many were closed */
export async function openPaused(installation: Installation): Promise<number> {
  const paused = await rows<{ name: string }>(installation.db, `select name from systems where state = 'paused'`);
  for (const { name } of paused) await installation.call('POST', `/v1/systems/${name}/resume`, {});
  return paused.length;
}

/**
 * Lets the later readings (2, 5 and 15 minutes after) come now: what a vendor applied late is found by them, and a
 * campaign does not wait so long. @returns how many
 */
export async function rereadNow({ db }: Installation): Promise<number> {
  const moved = await rows(db, 'update rechecks set due_at = clock_timestamp() returning 1');
  return moved.length;
}

/** Erasures that wait for a person: a delivery of theirs is a named problem, and the case rightly stays open until it is tried again. */
export async function erasuresHeldUp({ db }: Installation): Promise<number> {
  const [held] = await rows<{ n: number }>(
    db,
    `select count(*)::integer as n from cases c join deliveries d on d.contact_id = c.contact_id and d.wanted = d.settled
     where c.state = 'erasing' and (d.data_outcome in ${NEEDS_PERSON} or d.consent_outcome in ${NEEDS_PERSON})`,
  );
  return held?.n ?? 0;
}

/** True when every lane is open and nothing is due, called or to be looked at. */
export async function isQuiet(installation: Installation): Promise<boolean> {
  const { db } = installation;
  const paused = await openPaused(installation);
  const [open] = await rows<{ n: number }>(
    db,
    `select ((select count(*) from deliveries where wanted > settled) + (select count(*) from calls)
       + (select count(*) from rechecks where due_at <= clock_timestamp()) + (select count(*) from remarks) + (select count(*) from late_outcomes)
       + (select count(*) from cases where state in ('approved', 'erasing')))::integer as n`,
  );
  return paused === 0 && open?.n === 0;
}
