/**
 * The main job, shown: a correction, a withdrawal, an erasure, a retention purge, a night's reconciliation. Each step goes through a public
 * door, and is believed only when the vendors' own records say so.
 */
import { createReadStream } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../config/index.ts';
import type { ContactId } from '../domain/contact.ts';
import { importCsv } from '../import/import-csv.ts';
import { oneRow, row, rows } from '../store/db.ts';
import type { Db } from '../store/db.ts';
import { keyringFrom } from '../store/keyring.ts';
import { PlainError } from './errors.ts';
import type { Say } from './say.ts';
import { lookAt, tamper } from './vendor-look.ts';
import type { Held } from './vendor-look.ts';

type Vendor = 'hubspot' | 'mailchimp' | 'xero';

/** What the demonstration works on. */
export interface Place {
  db: Db;
  key: string;
  env: Record<string, string>;
  apiUrl: string;
  apiKey: string;
  /** Where worker and API tell of themselves. */
  metrics: { worker: string; api: string };
  apiKeyFile: string;
  temporalUi: string | null;
  sandboxes: Record<Vendor, { system: string; control: string }>;
}

const TITLE: Record<Vendor, string> = { hubspot: 'HubSpot', mailchimp: 'Mailchimp', xero: 'Xero' };
const VENDORS: Vendor[] = ['hubspot', 'mailchimp', 'xero'];
const STEP_LIMIT_MS = 60_000;
const IMPORT_LIMIT_MS = 180_000;
const LOOK_EVERY_MS = 20;

export async function isDemonstrated({ db }: Place): Promise<boolean> {
  return (await row(db, `select 1 from plumbline.meta where key = 'demonstrated'`)) !== undefined;
}

export async function noteDemonstrated({ db }: Place): Promise<void> {
  await rows(
    db,
    `insert into plumbline.meta (key, value) values ('demonstrated', now()::text) on conflict (key) do nothing`,
  );
}

/** Imports the made-up people and waits until every system agrees. */
export async function importExamples(place: Place, say: Say, stopping: AbortSignal): Promise<void> {
  const config = await loadConfig('plumbline.yaml', { ...process.env, ...place.env });
  const file = resolve(import.meta.dirname, '..', 'examples', 'contacts.csv');
  const summary = await importCsv({
    db: place.db,
    keyring: keyringFrom(Buffer.from(place.key, 'base64')),
    input: createReadStream(file),
    attributes: config.attributes,
    purposes: Object.keys(config.purposes),
    rejectsPath: null,
    actor: 'demonstration',
  });
  say(
    `Imported ${join('examples', 'contacts.csv')}: ${summary.created} created, ${summary.unchanged} unchanged, ${summary.rejected} rejected, ${summary.consentEvents} consent events.`,
  );
  const started = performance.now();
  for (;;) {
    if (stopping.aborted) return;
    const { due } = await oneRow<{ due: number }>(
      place.db,
      'select count(*)::integer as due from plumbline.deliveries where wanted > settled',
    );
    if (due === 0) break;
    if (performance.now() - started > IMPORT_LIMIT_MS) {
      throw new PlainError(
        `The systems did not take the import in ${IMPORT_LIMIT_MS / 1000} s; ${due} deliveries are open. See the worker's log.`,
      );
    }
    say(`  ${due} deliveries to go …`, 'progress');
    await sleep(200);
  }
  say(`All three systems hold them, read back, after ${seconds(performance.now() - started)}.`);
}

/** Runs all steps. @returns true when every system agreed after each */
export async function demonstrate(place: Place, say: Say, stopping: AbortSignal): Promise<boolean> {
  const demo = new Demo(place, say, stopping);
  say('');
  say('The main job (each line: what the vendor itself holds, and how long after the change)');
  const steps = [
    () => demo.rectification(),
    () => demo.withdrawal(),
    () => demo.erasure(),
    () => demo.purge(),
    () => demo.reconciliation(),
  ];
  let agreed = true;
  for (const step of steps) {
    if (stopping.aborted) return false;
    agreed = (await step()) && agreed;
  }
  say('');
  say(agreed ? 'All systems agree.' : 'NOT all systems agree: see above.');
  return agreed;
}

type Ids = Partial<Record<Vendor, string>>;

class Demo {
  readonly #place: Place;
  readonly #say: Say;
  readonly #stopping: AbortSignal;
  /** Contacts used by earlier steps. */
  readonly #used: ContactId[] = [];

  constructor(place: Place, say: Say, stopping: AbortSignal) {
    this.#place = place;
    this.#say = say;
    this.#stopping = stopping;
  }

  async rectification(): Promise<boolean> {
    const id = await this.#somebody();
    const ids = await this.#idsOf(id);
    const { family } = await oneRow<{ family: string }>(
      this.#place.db,
      'select family_name as family from plumbline.contacts where id = ?',
      [id],
    );
    const corrected = family.endsWith('-Berg') ? family.slice(0, -5) : `${family}-Berg`;
    this.#title('1', 'A name is corrected', `update plumbline.contacts set family_name = … where id = '${id}'`);
    const started = performance.now();
    await rows(this.#place.db, 'update plumbline.contacts set family_name = ? where id = ?', [corrected, id]);
    return this.#everywhere([ids], started, 'holds the new name', (held) => held.familyName === corrected);
  }

  async withdrawal(): Promise<boolean> {
    const id = await this.#somebody();
    const ids = await this.#idsOf(id);
    this.#title('2', 'The newsletter is withdrawn', `POST /v1/contacts/${id}/consents`);
    const started = performance.now();
    await this.#api('POST', `/v1/contacts/${id}/consents`, {
      events: [
        {
          purpose: 'newsletter',
          kind: 'withdrawn',
          happenedAt: new Date().toISOString(),
          channel: 'demonstration',
          byPerson: true,
        },
      ],
    });
    const { xero: _noConsentThere, ...withConsent } = ids;
    return this.#everywhere([withConsent], started, 'shows unsubscribed', (held) => held.newsletter === 'unsubscribed');
  }

  async erasure(): Promise<boolean> {
    const id = await this.#somebody();
    const ids = await this.#idsOf(id);
    this.#title('3', 'A person is erased', `POST /v1/contacts/${id}/erasure, then a decision`);
    const started = performance.now();
    const opened = await this.#api('POST', `/v1/contacts/${id}/erasure`, {});
    const caseId = String(opened['caseId'] ?? opened['id']);
    await this.#api('POST', `/v1/cases/${caseId}/decision`, { verdict: 'approve', ground: 'art17_1_b' });
    const gone = await this.#everywhere(
      [ids],
      started,
      'holds nothing of them',
      (held) => !held.present && held.email === '',
    );
    return gone && (await this.#caseDone(caseId, started));
  }

  async purge(): Promise<boolean> {
    await this.#someStale();
    this.#title('4', 'Stale contacts are purged by the retention rule', 'POST /v1/retention/runs, then a decision');
    const run = await this.#api('POST', '/v1/retention/runs', {});
    const runId = String(run['runId'] ?? run['id']);
    const asking = await this.#run(runId, ['asking', 'done', 'failed']);
    const hit = await rows<{ id: ContactId; reasons: string[] }>(
      this.#place.db,
      'select contact_id as id, reasons from plumbline.run_items where run_id = ? order by contact_id',
      [runId],
    );
    if (asking !== 'asking' || hit.length === 0) return this.#fail(`the rule hit nobody (run ${asking})`);
    this.#say(`     dry run: ${hit.length} contacts, because ${hit[0]?.reasons.join(', ') ?? ''}; approved`);
    const held: Ids[] = [];
    for (const { id } of hit) held.push(await this.#idsOf(id));
    const started = performance.now();
    await this.#api('POST', `/v1/runs/${runId}/decision`, { verdict: 'approve' });
    const gone = await this.#everywhere(held, started, 'holds none of those it had', (one) => !one.present);
    const ended = await this.#run(runId, ['done', 'failed', 'refused']);
    if (ended !== 'done') return this.#fail(`the run ended ${ended}`);
    this.#say(`     run ${runId}: done (${seconds(performance.now() - started)})`);
    return gone;
  }

  async reconciliation(): Promise<boolean> {
    const id = await this.#somebody();
    const ids = await this.#idsOf(id);
    const { system, control } = this.#place.sandboxes.hubspot;
    this.#title('5', 'A value is changed behind our back at HubSpot', `POST /v1/systems/${system}/reconcile`);
    await tamper(control, ids.hubspot ?? '', { properties: { lastname: 'Changed-By-Hand' } });
    const started = performance.now();
    const first = await this.#reconcile(system);
    this.#say(`     first run: ${counted(first)}`);
    const mended = await this.#everywhere(
      [{ hubspot: ids.hubspot ?? '' }],
      started,
      'holds the record’s value again',
      (held) => held.familyName !== 'Changed-By-Hand',
    );
    const second = await this.#reconcile(system);
    this.#say(`     second run: ${counted(second)}`);
    if (first['toChange'] !== 1) return this.#fail('the first run should have found exactly one difference');
    if (second['toChange'] !== 0) return this.#fail('the second run should have found nothing');
    return mended;
  }

  async #reconcile(system: string): Promise<Record<string, number>> {
    const run = await this.#api('POST', `/v1/systems/${system}/reconcile`, {});
    const runId = String(run['runId'] ?? run['id']);
    await this.#run(runId, ['done', 'failed', 'refused', 'asking']);
    const { counts } = await oneRow<{ counts: Record<string, number> }>(
      this.#place.db,
      'select counts from plumbline.runs where id = ?',
      [runId],
    );
    return counts;
  }

  async #run(runId: string, states: string[]): Promise<string> {
    return this.#until(
      () => oneRow<{ state: string }>(this.#place.db, 'select state from plumbline.runs where id = ?', [runId]),
      states,
    );
  }

  async #until(read: () => Promise<{ state: string }>, states: string[]): Promise<string> {
    const started = performance.now();
    for (;;) {
      const { state } = await read();
      if (states.includes(state) || this.#stopping.aborted || performance.now() - started > STEP_LIMIT_MS) return state;
      await sleep(100);
    }
  }

  async #caseDone(caseId: string, started: number): Promise<boolean> {
    const state = await this.#until(
      () => oneRow<{ state: string }>(this.#place.db, 'select state from plumbline.cases where id = ?', [caseId]),
      ['done', 'refused'],
    );
    this.#say(`     case ${caseId}: ${state} (${seconds(performance.now() - started)})`);
    return state === 'done';
  }

  /** An active customer with a given newsletter who is held by all three systems and was not used before. */
  async #somebody(): Promise<ContactId> {
    const found = await row<{ id: ContactId }>(
      this.#place.db,
      `select c.id from plumbline.contacts c
       where c.state = 'active' and c.family_name is not null and c.id <> all (?::uuid[])
         and (select count(*) from plumbline.deliveries d where d.contact_id = c.id and d.presence = 'present' and d.wanted = d.settled) = 3
         and exists (select 1 from plumbline.deliveries d where d.contact_id = c.id and d.known_consents ->> 'status' = 'subscribed')
       order by c.seq limit 1`,
      [this.#used],
    );
    if (found === undefined) {
      throw new PlainError(
        'Nobody is left who is held by all three systems. Remove the data folder for a fresh demonstration.',
      );
    }
    this.#used.push(found.id);
    return found.id;
  }

  /** Makes sure that the retention rule has somebody to hit when an earlier demonstration has purged them all. */
  async #someStale(): Promise<void> {
    const purged = await row(this.#place.db, `select 1 from plumbline.contacts where state = 'purged' limit 1`);
    if (purged === undefined) return;
    const stale = await oneRow<{ id: ContactId }>(
      this.#place.db,
      `insert into plumbline.contacts (given_name, family_name, emails, relationship, source, obtained_at)
       values ('Some', 'Lead', array['lead.' || floor(extract(epoch from now()))::text || '@example.net'], 'lead', 'website', now() - interval '2 years')
       returning id`,
    );
    await this.#until(async () => {
      const { due } = await oneRow<{ due: number }>(
        this.#place.db,
        'select count(*)::integer as due from plumbline.deliveries where contact_id = ? and wanted > settled',
        [stale.id],
      );
      return { state: due === 0 ? 'settled' : 'due' };
    }, ['settled']);
  }

  async #idsOf(id: ContactId): Promise<Ids> {
    const found = await rows<{ system: string; external_id: string }>(
      this.#place.db,
      'select system, external_id from plumbline.external_ids where contact_id = ? and not former',
      [id],
    );
    const ids: Ids = {};
    for (const vendor of VENDORS) {
      const here = found.find((f) => f.system === this.#place.sandboxes[vendor].system);
      if (here !== undefined) ids[vendor] = here.external_id;
    }
    return ids;
  }

  #look(vendor: Vendor, id: string): Promise<Held> {
    return lookAt(vendor, this.#place.sandboxes[vendor].control, id);
  }

  /** Waits until each vendor's own record passes, and says when each did. */
  /** Waits until it is true of all that each vendor holds of these people. */
  async #everywhere(
    people: readonly Ids[],
    started: number,
    what: string,
    holds: (held: Held) => boolean,
  ): Promise<boolean> {
    const agreed = await Promise.all(
      VENDORS.map(async (vendor) => {
        const ids = people.map((one) => one[vendor]).filter((id) => id !== undefined);
        if (ids.length === 0) return true;
        for (;;) {
          const shown = await Promise.all(ids.map(async (id) => this.#look(vendor, id)));
          if (shown.every(holds)) {
            this.#line(vendor, what, performance.now() - started);
            return true;
          }
          if (this.#stopping.aborted || performance.now() - started > STEP_LIMIT_MS) {
            return this.#fail(`${TITLE[vendor]} does not agree after ${seconds(STEP_LIMIT_MS)}`);
          }
          await sleep(LOOK_EVERY_MS);
        }
      }),
    );
    return agreed.every(Boolean);
  }

  async #api(method: string, path: string, body: Record<string, unknown>): Promise<Record<string, unknown>> {
    const answer = await fetch(`${this.#place.apiUrl}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#place.apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok)
      throw new PlainError(
        `The API answered ${answer.status} to ${method} ${path.split('/').slice(0, 3).join('/')}: ${text.slice(0, 300)}`,
      );
    return JSON.parse(text) as Record<string, unknown>;
  }

  #title(number: string, what: string, how: string): void {
    this.#say('');
    this.#say(`  ${number}  ${what}`);
    this.#say(`     ${how}`);
  }

  #line(vendor: Vendor, what: string, ms: number): void {
    this.#say(`     ${TITLE[vendor].padEnd(10)} ${what.padEnd(34)} ${seconds(ms)}`);
  }

  #fail(why: string): false {
    this.#say(`     FAILED: ${why}`);
    return false;
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

function counted(counts: Record<string, number>): string {
  return `${counts['compared'] ?? 0} compared, ${counts['toChange'] ?? 0} differ, ${counts['repaired'] ?? 0} repaired`;
}
