import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  checkConfig,
  ConfigProblem,
  formatProblem,
  loadConfig,
  mainKeys,
  readEnvironment,
  redacted,
  secretReader,
  statementsOf,
  systemRules,
} from '../../config/index.ts';
import { isCron, isTimeZone } from '../../config/time.ts';
import { fakeConnectors } from './fake-connectors.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plumbline-config-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(text: string): Promise<string> {
  const path = join(folder, 'plumbline.yaml');
  await writeFile(path, text);
  return path;
}

/** Every mistake of the text, with the file's name left out. */
async function mistakes(text: string, env: Record<string, string> = {}): Promise<string[]> {
  const path = await file(text);
  const problems = await checkConfig(path, env, fakeConnectors);
  return problems.map((problem) => formatProblem({ ...problem, file: 'f' }));
}

const KEY = Buffer.alloc(32, 7).toString('base64');
const GOOD = `
organisation: { name: Example, timeZone: Europe/Berlin }
purposes:
  newsletter: { title: News, statements: { news-1: Yes please } }
attributes: { vip: boolean, size: { type: text, values: [S, L] } }
systems:
  crm-main:
    connector: crm
    credentials: { token: { env: CRM_TOKEN } }
    who: everybody
    limits: { calls: 50 }
    fields:
      email: emails.0
      phone: phones.0
      since: { from: obtainedAt, transform: dateOnly }
      vip: attributes.vip
      basis: { transform: legalBasis }
      origin: { value: Plumbline, maxLength: 5 }
    consents: { newsletter: "1001" }
  mail-main:
    connector: mail
    account: mail-account
    baseUrl: https://user:hidden@mail.example/
    credentials: { apiKey: { file: api-key } }
    settings: { list: aud }
    who: { consent: newsletter }
    consents: { newsletter: status }
    limits: { off: true }
`;

describe('a good file', () => {
  test('is read with defaults, references resolved and kinds guessed from the source', async () => {
    const config = await loadConfig(await file(GOOD), {}, fakeConnectors);
    expect(systemRules(config, 'crm-main')).toEqual({
      name: 'crm-main',
      connector: 'crm',
      who: { kind: 'everybody' },
      outsiders: 'leave',
      fields: [
        { target: 'email', from: 'emails.0', kind: 'email' },
        { target: 'phone', from: 'phones.0', kind: 'phone' },
        { target: 'since', from: 'obtainedAt', kind: 'date', transform: 'dateOnly' },
        { target: 'vip', from: 'attributes.vip', kind: 'boolean' },
        { target: 'basis', kind: 'text', transform: 'legalBasis' },
        { target: 'origin', value: 'Plumbline', kind: 'text', maxLength: 5 },
      ],
      consents: [{ purpose: 'newsletter', target: '1001' }],
      addressIsKey: false,
      addressRequired: false,
    });
    expect(systemRules(config, 'mail-main')).toMatchObject({
      who: { kind: 'consent', purpose: 'newsletter' },
      outsiders: 'unsubscribe',
      addressIsKey: true,
    });
    expect(config.systems['crm-main']).toMatchObject({
      account: 'crm-main',
      baseUrl: null,
      privateAddresses: false,
      limits: { calls: 50, windowMs: 10_000, concurrency: 10 },
    });
    expect(config.systems['mail-main']).toMatchObject({
      account: 'mail-account',
      limits: { concurrency: 5 },
      settings: { list: 'aud', server: 'us1' },
    });
    expect(config.retention.rules.map((rule) => rule.name)).toEqual(['no-opt-in-no-contract']);
    expect(config.schedules.reconcile).toEqual({ cron: '30 2 * * *', timeZone: 'Europe/Berlin' });
    expect(config.api.publicUrl).toBe('http://127.0.0.1:7300');
    expect(config.attributes).toEqual({ vip: { type: 'boolean' }, size: { type: 'text', values: ['S', 'L'] } });
    expect(statementsOf(config)).toEqual([{ id: 'news-1', purpose: 'newsletter', wording: 'Yes please' }]);
  });

  test('gives way to the environment in base addresses and the port', async () => {
    const env = { PLUMBLINE_BASE_URL_CRM_MAIN: 'http://127.0.0.1:4010/', PLUMBLINE_PORT_API: '7301' };
    const config = await loadConfig(await file(GOOD), env, fakeConnectors);
    expect(config.systems['crm-main']?.baseUrl).toBe('http://127.0.0.1:4010');
    expect(config.systems['mail-main']?.baseUrl).toBe('https://user:hidden@mail.example');
    expect(config.api.port).toBe(7301);
  });

  test('sends traces nowhere unless told where, by the file or by the usual variables, which go before it', async () => {
    const without = await loadConfig(await file(GOOD), {}, fakeConnectors);
    expect(without.telemetry.traces).toBeNull();
    const path = await file(`${GOOD}\ntelemetry: { traces: { endpoint: http://collector:4318/, share: 0.1 } }`);
    const traces = async (env: Record<string, string>): Promise<unknown> =>
      (await loadConfig(path, env, fakeConnectors)).telemetry.traces;
    expect(await traces({})).toEqual({ url: 'http://collector:4318/v1/traces', share: 0.1 });
    expect(await traces({ OTEL_EXPORTER_OTLP_ENDPOINT: 'https://other.example' })).toEqual({
      url: 'https://other.example/v1/traces',
      share: 0.1,
    });
    expect(await traces({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://other.example/in' })).toEqual({
      url: 'https://other.example/in',
      share: 0.1,
    });
    const secret = 'https://me:hunter2@other.example';
    await expect(traces({ OTEL_EXPORTER_OTLP_ENDPOINT: secret })).rejects.toThrow(
      /^OTEL_EXPORTER_OTLP_ENDPOINT must be a web address without a password/,
    );
    const inFile = await mistakes(`${GOOD}\ntelemetry: { traces: { endpoint: '${secret}' } }`);
    expect(inFile).toHaveLength(1);
    expect(inFile[0]).toContain('telemetry.traces.endpoint');
    expect(inFile[0]).not.toContain('hunter2');
  });

  test('is printed without passwords and wordings', async () => {
    const printed = redacted(await loadConfig(await file(GOOD), {}, fakeConnectors));
    expect(printed).toContain('https://user:redacted@mail.example');
    expect(printed).toContain('env: CRM_TOKEN');
    expect(printed).not.toMatch(/hidden|Yes please/);
  });

  test('lacks secrets only where they are asked for, and reads them anew each time', async () => {
    const config = await loadConfig(await file(GOOD), {}, fakeConnectors);
    const env: Record<string, string> = {};
    await expect(secretReader(config, 'crm-main', env)('token')).rejects.toThrow('environment variable CRM_TOKEN');
    env['CRM_TOKEN'] = 'first';
    const token = secretReader(config, 'crm-main', env);
    expect(await token('token')).toBe('first');
    env['CRM_TOKEN'] = 'second';
    expect(await token('token')).toBe('second');
    await writeFile(join(folder, 'api-key'), 'from a file\n');
    expect(await secretReader(config, 'mail-main', env)('apiKey')).toBe('from a file');
    await expect(secretReader(config, 'mail-main', env)('token')).rejects.toThrow("no secret 'token'");

    await expect(mainKeys(config, { PLUMBLINE_KEY: 'c2hvcnQ=' })).rejects.toThrow('not 32 bytes');
    expect(await mainKeys(config, { PLUMBLINE_KEY: KEY })).toEqual([{ id: 'k1', secret: Buffer.alloc(32, 7) }]);
    expect(await checkConfig(await file(GOOD), { ...env, PLUMBLINE_KEY: KEY }, fakeConnectors)).toEqual([]);
    const missing = await mistakes(GOOD, { CRM_TOKEN: 'x' });
    expect(missing).toEqual([
      'f:2:1 keys.main: found nothing usable in the environment variable PLUMBLINE_KEY, expected a key of 32 bytes in base64 there',
    ]);
  });
});

describe('mistakes', () => {
  test('are all reported at once, each with its place, what was found and what was expected', async () => {
    const found = await mistakes(`organisation:
  name: Example
  timezone: Mars/Olympus
purpose: {}
purposes:
  newsletter:
    title: 12
    statements: {}
attributes: { vip: bool }
systems:
  crm-main:
    connector: crmm
    who: everyone
  mail-main:
    connector: mail
    account: shared
    credentials: { apikey: secret-value, }
    settings: { lst: aud }
    who: { relationship: [custmer] }
    fields:
      FNAME: given_name
brake: { maxShare: 7 }
schedules:
  reconcile: { cron: at night }
worker: { drainSeconds: soon }
`);
    expect(found).toEqual([
      "f:3:3 organisation.timezone: found the unknown key 'timezone', expected 'timeZone' (did you mean that?)",
      "f:4:1 purpose: found the unknown key 'purpose', expected 'purposes' (did you mean that?)",
      'f:7:12 purposes.newsletter.title: found the number 12, expected a text (put it in quotes)',
      "f:9:20 attributes.vip: found 'bool', expected text, number, boolean, date or {type, values, maxLength}",
      "f:12:16 systems.crm-main.connector: found 'crmm', expected one of crm, mail, ledger (did you mean 'crm'?)",
      "f:13:10 systems.crm-main.who: found 'everyone', expected everybody, {relationship: [customer, …]} or {consent: purpose}",
      'f:17:28 systems.mail-main.credentials.apikey: found a text of 12 characters, expected where the secret is kept: {env: NAME} or {file: path}',
      'f:18:15 systems.mail-main.settings.list: found nothing, expected a text',
      "f:18:17 systems.mail-main.settings.lst: found the unknown key 'lst', expected 'list' (did you mean that?)",
      "f:19:27 systems.mail-main.who.relationship.0: found 'custmer', expected one of lead, customer, supplier, former_customer (did you mean 'customer'?)",
      'f:22:20 brake.maxShare: found the number 7, expected a share, e.g. 0.05',
      "f:24:22 schedules.reconcile.cron: found 'at night', expected a cron expression of five fields, e.g. '30 2 * * *'",
      "f:25:25 worker.drainSeconds: found 'soon', expected a number",
    ]);
  });

  test('in references between the parts of the file are found', async () => {
    const found = await mistakes(`organisation: { name: Example }
purposes: { newsletter: { title: News, statements: {} } }
systems:
  crm-main:
    connector: crm
    account: shared
    credentials: { token: { env: T }, tokn: { env: T } }
    who: { consent: newsleter }
    fields:
      a: attributes.vip
      b: { from: givnName }
      c: { from: city, value: x }
      d: {}
    consents: { product_news: "1" }
  crm-two:
    connector: crm
    account: two
    credentials: { token: { env: T } }
    who: everybody
  crm-three:
    connector: crm
    account: two
    credentials: { token: { env: T } }
    who: everybody
    limits: { calls: 1 }
  mail-main:
    connector: mail
    account: two
    credentials: {}
    settings: { list: l }
    who: everybody
  mail-two:
    connector: mail
    account: two
    credentials: { apiKey: { env: T } }
    settings: { list: l }
    who: everybody
retention:
  rules:
    - { name: old, after: { months: 3, since: obtainedAt }, unless: { consentGiven: [news] } }
    - { name: old, after: { months: 0, since: createdAt } }
    - { name: old, after: { months: 1, since: obtainedAt } }
`);
    expect(found).toEqual([
      "f:7:39 systems.crm-main.credentials.tokn: found the unknown secret 'tokn', expected 'token' (did you mean that?)",
      "f:8:21 systems.crm-main.who.consent: found 'newsleter', expected a purpose of this file (did you mean 'newsletter'?)",
      "f:10:10 systems.crm-main.fields.a: found 'attributes.vip', expected one of externalRef, givenName, familyName, organisation, street, city, postcode, country, locale, relationship, accountManager, source, obtainedAt, contractEnd, lastTransactionAt, id, fullName, emails.0, phones.0",
      "f:11:18 systems.crm-main.fields.b.from: found 'givnName', expected a field of a contact (did you mean 'givenName'?)",
      "f:12:10 systems.crm-main.fields.c: found both, expected either 'from' or 'value'",
      "f:13:10 systems.crm-main.fields.d: found neither, expected either 'from' or 'value'",
      "f:14:17 systems.crm-main.consents.product_news: found 'product_news', expected one of newsletter",
      "f:25:13 systems.crm-three.limits: found other limits, expected the limits of 'crm-two', which shares the account 'two'",
      'f:29:18 systems.mail-main.credentials.apiKey: found nothing, expected {env: NAME} or {file: path}',
      "f:34:14 systems.mail-two.account: found 'two', the crm account of 'crm-two', expected an account of mail",
      'f:41:37 retention.rules.1.after.months: found the number 0, expected a number of months, at least 1',
      "f:41:47 retention.rules.1.after.since: found 'createdAt', expected obtainedAt",
    ]);
    const retention = await mistakes(`organisation: { name: Example }
purposes: { newsletter: { title: News, statements: {} } }
retention:
  rules:
    - { name: old, after: { months: 3, since: obtainedAt }, unless: { consentGiven: [newsletters] } }
    - { name: old, after: { months: 1, since: obtainedAt } }
`);
    expect(retention).toEqual([
      "f:5:86 retention.rules.0.unless.consentGiven.0: found 'newsletters', expected a purpose of this file (did you mean 'newsletter'?)",
      "f:6:15 retention.rules.1.name: found 'old', expected a name that no other rule has",
    ]);
  });

  test('in what the connector can do are found: consents where there are none, or too few of them', async () => {
    const found = await mistakes(`organisation: { name: Example }
purposes:
  newsletter: { title: News, statements: { one: Yes } }
  product_news: { title: Products, statements: { one: Yes } }
systems:
  mail-main:
    connector: mail
    credentials: { apiKey: { env: T } }
    settings: { list: l }
    who: { consent: newsletter }
    consents: { product_news: other }
    limits: { calls: 5 }
  books:
    connector: ledger
    who: everybody
    consents: { newsletter: status }
`);
    expect(found).toEqual([
      "f:4:50 purposes.product_news.statements.one: found 'one', expected an id that no wording of 'newsletter' has",
      "f:11:15 systems.mail-main.consents: found product_news, expected a line for 'newsletter', by which this system shows who may be written to",
      "f:12:13 systems.mail-main.limits: found one of them, expected 'calls' and 'windowMs' together",
      'f:16:15 systems.books.consents: found newsletter, expected no consents, because this vendor holds none',
    ]);
  });

  test('of YAML itself are reported with their line: a key twice, a broken bracket, no map, no file', async () => {
    expect(await mistakes('a: 1\na: 2\n')).toEqual([expect.stringMatching(/^f:2:1: found text that is no YAML/)]);
    expect(await mistakes('a: [1\nb: 2\n')).toEqual(expect.arrayContaining([expect.stringMatching(/^f:2:1: /)]));
    expect(await mistakes('just a text')).toEqual(["f:1:1: found 'just a text', expected a map of keys"]);
    await expect(loadConfig(join(folder, 'none.yaml'), {}, fakeConnectors)).rejects.toThrow(ConfigProblem);
  });

  test('of the environment name the variable', async () => {
    const env = { PLUMBLINE_BASE_URL_CRM_MAIN: 'localhost:4010' };
    await expect(loadConfig(await file(GOOD), env, fakeConnectors)).rejects.toThrow('PLUMBLINE_BASE_URL_CRM_MAIN');
    expect(() => readEnvironment({ PLUMBLINE_PORT_API: 'x', PLUMBLINE_LOG_LEVEL: 'loud' })).toThrow(
      /PLUMBLINE_LOG_LEVEL.*PLUMBLINE_PORT_API/,
    );
  });
});

test('time zones and cron expressions are taken as Temporal takes them', () => {
  expect(['UTC', 'Europe/London', 'America/Argentina/Buenos_Aires'].every(isTimeZone)).toBe(true);
  expect(['+01:00', 'Mars/Olympus', ''].some(isTimeZone)).toBe(false);
  expect(['30 2 * * *', '*/5 0-6 1,15 jan-mar mon', '0 0 * * 7'].every(isCron)).toBe(true);
  expect(['30 2 * *', '60 2 * * *', '5-1 * * * *', '* * 0 * *', '@daily', '*/0 * * * *'].some(isCron)).toBe(false);
});

test('the shipped file names only what is there', async () => {
  const text = await readFile(new URL('../../plumbline.yaml', import.meta.url), 'utf8');
  expect(text).toContain('hubspot-main');
  const problems = await checkConfig(new URL('../../plumbline.yaml', import.meta.url).pathname, {});
  // Without secrets in the environment, they are all that is missing.
  expect(problems.filter((problem) => !problem.found.startsWith('nothing usable in')).map(formatProblem)).toEqual([]);
  expect(problems.length).toBeGreaterThan(0);
});
