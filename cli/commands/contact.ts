/** One person's file: found by an address that is asked for, shown with everything held: the answer to an access request (GDPR Art. 15). */
import type { Command } from 'commander';
import type { App } from '../../app.ts';
import { contactKey } from '../../domain/change-key.ts';
import { consentStates } from '../../domain/consent.ts';
import type { ContactId } from '../../domain/contact.ts';
import { appendAudit, auditOf } from '../../store/audit.ts';
import { consentEventsOf, knownStatements } from '../../store/consents.ts';
import { contactVersions, findContactsByEmail, getContact, getContactByRef } from '../../store/contacts.ts';
import { rows } from '../../store/db.ts';
import { deliveriesOf } from '../../store/delivery-views.ts';
import { activeHoldsOf } from '../../store/erasure.ts';
import { originOf } from '../../telemetry/spans.ts';
import { CommandProblem } from '../exit-codes.ts';
import { askLine } from '../ui/ask.ts';
import { moment, paint, print, printJson, table } from '../ui/text.ts';
import { actor, withApp } from '../with-app.ts';
import { withRuntime } from '../with-runtime.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u;

export function addContact(program: Command): void {
  const contact = program.command('contact').description('one person');

  contact
    .command('find')
    .description('find contacts by an address, which is asked for and never an argument')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  plumbline contact find < address.txt')
    .action(async (options: { json?: boolean }) => {
      const address = await askLine('Address: ');
      await withApp(async ({ db }) => {
        const found = await findContactsByEmail(db, address);
        for (const { id } of found)
          await appendAudit(db, { kind: 'contact.read', actor: actor(), door: 'operator', contactId: id });
        if (options.json === true) printJson(found.map((c) => ({ id: c.id, state: c.state, version: c.version })));
        else
          table(
            ['contact', 'state', 'version', 'given name', 'family name'],
            found.map((c) => [c.id, c.state, c.version, c.givenName, c.familyName]),
          );
        if (found.length === 0) throw new CommandProblem('Nobody has this address.');
      });
    });

  contact
    .command('show')
    .argument('<contact>', 'id or external reference')
    .description('record, consent with reasons, each system: sent, read back, when')
    .option('--all', 'also versions, audit entries, and what each vendor itself holds')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nThe answer to an access request:\n  plumbline contact show --all --json 6f1c… > answer.json',
    )
    .action(async (which: string, options: { all?: boolean; json?: boolean }) => {
      await withApp(async (app) => {
        const file = await readFile(app, which, options.all === true);
        await appendAudit(app.db, {
          kind: 'contact.read',
          actor: actor(),
          door: 'operator',
          contactId: file.contact.id,
        });
        if (options.json === true) printJson(file);
        else show(file);
      });
    });

  const hold = contact.command('hold').description('reasons to keep a person’s data (GDPR Art. 17(3))');
  hold
    .command('add')
    .argument('<contact>')
    .description('keep the data until a day, or until it is looked at again')
    .requiredOption('--ground <word>', 'contract, legal_claim, tax_records …')
    .option('--until <day>', 'last day, YYYY-MM-DD')
    .option('--review-on <day>', 'look again on, YYYY-MM-DD')
    .action(async (id: string, options: { ground: string; until?: string; reviewOn?: string }) => {
      if (options.until === undefined && options.reviewOn === undefined) {
        throw new CommandProblem('A hold needs --until or --review-on: nothing is kept for ever by oversight.');
      }
      await withApp(async ({ db }) => {
        await existing(db, id);
        const [made] = await rows<{ id: string }>(
          db,
          'insert into holds (contact_id, ground, until, review_on, created_by) values (?, ?, ?, ?, ?) returning id',
          [id, options.ground, options.until ?? null, options.reviewOn ?? null, actor()],
        );
        await appendAudit(db, {
          kind: 'hold.added',
          actor: actor(),
          door: 'operator',
          contactId: id,
          detail: { ground: options.ground },
        });
        print(made?.id ?? '');
      });
    });
  hold
    .command('list')
    .argument('<contact>')
    .description('holds in force')
    .action(async (id: string) => {
      await withApp(async ({ db }) => {
        const holds = await activeHoldsOf(db, [id]);
        table(
          ['hold', 'ground', 'until', 'review on'],
          holds.map((h) => [h.id, h.ground, h.until, h.reviewOn]),
        );
      });
    });
  hold
    .command('release')
    .argument('<hold>')
    .description('end a hold')
    .action(async (id: string) => {
      await withApp(async ({ db }) => {
        const [released] = await rows<{ contactId: string }>(
          db,
          `update holds set released_by = ?, released_at = clock_timestamp() where id = ? and released_at is null returning contact_id as "contactId"`,
          [actor(), id],
        );
        if (released === undefined) throw new CommandProblem('There is no such hold in force.');
        await appendAudit(db, {
          kind: 'hold.released',
          actor: actor(),
          door: 'operator',
          contactId: released.contactId,
        });
        print('Released.');
      });
    });
}

async function existing(db: App['db'], which: string): Promise<ContactId> {
  const found = UUID.test(which) ? await getContact(db, which) : await getContactByRef(db, which);
  if (found === undefined) throw new CommandProblem('There is no such contact.');
  return found.id;
}

async function readFile(app: App, which: string, all: boolean) {
  const { db, config } = app;
  const id = await existing(db, which);
  const contact = await getContact(db, id);
  if (contact === undefined) throw new CommandProblem('There is no such contact.');
  const events = (await consentEventsOf(db, [id])).get(id) ?? [];
  return {
    contact,
    trace: originOf(contactKey(id, contact.version)).traceId,
    consents: consentStates(events, Object.keys(config.purposes), await knownStatements(db)),
    consentEvents: events,
    holds: await activeHoldsOf(db, [id]),
    systems: await deliveriesOf(db, id),
    ...(all
      ? { versions: await contactVersions(db, id), audit: await auditOf(db, id), vendors: await collectAll(app, id) }
      : {}),
  };
}

/** What each vendor itself holds under the stored ids. */
async function collectAll(app: App, id: ContactId): Promise<Record<string, unknown>> {
  const ids = await rows<{ system: string; external_id: string }>(
    app.db,
    'select system, external_id from external_ids where contact_id = ? and not former',
    [id],
  );
  const held: Record<string, unknown> = {};
  for (const { system, external_id } of ids) {
    held[system] = await withRuntime(app, system, async ({ connector }, gate) =>
      connector.collect(external_id, gate).catch(() => ({ unread: 'The vendor could not be asked now.' })),
    );
  }
  return held;
}

type PersonFile = Awaited<ReturnType<typeof readFile>>;

function show(file: PersonFile): void {
  const { contact } = file;
  print(paint('bold', `Contact ${contact.id}`));
  print(`${contact.state}, version ${contact.version}, changed ${moment(contact.changedAt)}`);
  print(`trace of this version: ${file.trace}`);
  print();
  const {
    id: _id,
    seq: _seq,
    version: _version,
    state: _state,
    createdAt: _created,
    changedAt: _changed,
    ...data
  } = contact;
  const filled = Object.entries(data).filter(
    ([, v]) => v !== null && JSON.stringify(v) !== '[]' && JSON.stringify(v) !== '{}',
  );
  for (const [name, value] of filled)
    print(`  ${name.padEnd(18)} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`);
  print();
  table(
    ['purpose', 'consent', 'since', 'because'],
    Object.entries(file.consents).map(([purpose, c]) => [
      purpose,
      c.state,
      moment(c.since),
      c.reasons.map((r) => `${r.eventId}: ${r.note}`).join(', '),
    ]),
  );
  print();
  table(
    ['system', 'state', 'data', 'consent', 'read back', 'version'],
    file.systems.map((d) => [
      d.system,
      d.state,
      [d.data.outcome, d.data.code, d.data.field].filter((x) => x !== null).join(' '),
      [d.consent.outcome, d.consent.code].filter((x) => x !== null).join(' '),
      moment(d.verifiedAt),
      d.contactVersion,
    ]),
  );
  for (const hold of file.holds)
    print(paint('yellow', `Hold: ${hold.ground} until ${hold.until ?? hold.reviewOn ?? ''}`));
  if (file.versions !== undefined) {
    print();
    table(
      ['version', 'when', 'who', 'door', 'why'],
      file.versions.map((v) => [v.version, moment(v.at), v.actor, v.door, v.reason]),
    );
  }
  if (file.audit !== undefined) {
    print();
    table(
      ['entry', 'when', 'what', 'who', 'system'],
      file.audit.map((a) => [a.id, moment(a.at), a.kind, a.actor, a.system]),
    );
  }
  if (file.vendors !== undefined) {
    print();
    print(JSON.stringify(file.vendors, null, 2));
  }
}
