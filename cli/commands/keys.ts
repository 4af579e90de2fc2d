/** Keys: those of the HTTP API, and those of the installation. */
import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { isKeyId, KEY_BYTES, keyText } from '../../domain/keys.ts';
import { CommandProblem, EXIT } from '../exit-codes.ts';
import { print, printJson } from '../ui/text.ts';

export function addKeys(program: Command): void {
  addApiKeys(program);
  addKeyring(program);
}

function addApiKeys(program: Command): void {
  const key = program.command('key').description('keys of the HTTP API');
  key
    .command('create')
    .description('make a key; it is shown once')
    .requiredOption('--name <name>', 'what it is for')
    .requiredOption('--role <role>', 'reader, writer, operator, lead or admin')
    .option('--expires <day>', 'YYYY-MM-DD')
    .action(async (options: { name: string; role: string; expires?: string }) => {
      const { withApp } = await import('../with-app.ts');
      const { createKey, ROLES } = await import('../../store/api-keys.ts');
      const role = ROLES.find((r) => r === options.role);
      if (role === undefined) throw new CommandProblem(`The role is one of ${ROLES.join(', ')}.`, EXIT.usage);
      await withApp(async ({ db }) => {
        print(await createKey(db, { name: options.name, role, expiresAt: options.expires ?? null }));
      });
    });
  key
    .command('list')
    .description('names, roles, expiry')
    .option('--json', 'as JSON')
    .action(async (options: { json?: boolean }) => {
      const [{ withApp }, { listKeys }, { moment, table }] = await Promise.all([
        import('../with-app.ts'),
        import('../../store/api-keys.ts'),
        import('../ui/text.ts'),
      ]);
      await withApp(async ({ db }) => {
        const keys = await listKeys(db);
        if (options.json === true) printJson(keys);
        else
          table(
            ['name', 'role', 'made', 'expires', 'revoked'],
            keys.map((k) => [k.name, k.role, moment(k.createdAt), moment(k.expiresAt), moment(k.revokedAt)]),
          );
      });
    });
  key
    .command('revoke')
    .argument('<name>')
    .description('refuse a key from now on')
    .action(async (name: string) => {
      const [{ withApp }, { revokeKey }] = await Promise.all([
        import('../with-app.ts'),
        import('../../store/api-keys.ts'),
      ]);
      await withApp(async ({ db }) => {
        if (!(await revokeKey(db, name))) throw new CommandProblem('There is no such key, or it was revoked before.');
        print('Revoked.');
      });
    });
  key
    .command('rotate')
    .argument('<name>')
    .description('make a key in its place; both are good for a while')
    .option('--keep-hours <n>', 'how long the old one stays good', '24')
    .option('--expires <day>', 'end of the new one, YYYY-MM-DD')
    .addHelpText('after', '\nExample:\n  plumbline key rotate crm --keep-hours 48 --expires 2027-12-31')
    .action(async (name: string, options: { keepHours: string; expires?: string }) => {
      const [{ withApp, actor }, { rotateKey }, { moment }] = await Promise.all([
        import('../with-app.ts'),
        import('../../store/api-key-rotation.ts'),
        import('../ui/text.ts'),
      ]);
      const keepHours = Number(options.keepHours);
      if (!(keepHours >= 0 && keepHours <= 24 * 90))
        throw new CommandProblem('--keep-hours is a number of hours, at most 2160 (90 days).', EXIT.usage);
      await withApp(async ({ db }) => {
        const by = { actor: actor(), door: 'operator' } as const;
        const made = await rotateKey(db, name, { keepHours, expiresAt: options.expires ?? null }, by);
        print(made.key);
        process.stderr.write(`It is '${made.name}'; '${name}' ends ${moment(made.oldEndsAt)} UTC.\n`);
      });
    });
}

function addKeyring(program: Command): void {
  const keyring = program.command('keyring').description('keys that are kept outside: keys.main and keys.codec');
  keyring
    .command('new')
    .description('print a new key, as a line of such a secret')
    .option('--id <id>', 'what it is called beside what it made; default: the day')
    .action((options: { id?: string }) => {
      const id = options.id ?? new Date().toISOString().slice(0, 10);
      if (!isKeyId(id))
        throw new CommandProblem('An id has up to 40 letters, digits, points, hyphens and underscores.', EXIT.usage);
      print(keyText({ id, secret: randomBytes(KEY_BYTES) }));
    });
  keyring
    .command('list')
    .description('which keys are there, and what needs them')
    .option('--histories', 'look through all that Temporal keeps, too')
    .option('--json', 'as JSON')
    .action(async (options: { histories?: boolean; json?: boolean }) => {
      const { listKeyring } = await import('../keyring.ts');
      await listKeyring({ histories: options.histories === true, json: options.json === true });
    });
  keyring
    .command('reseal')
    .description('seal tickets and vendor tokens anew with the first key of keys.main')
    .action(async () => {
      const [{ withApp, actor }, { reseal }] = await Promise.all([
        import('../with-app.ts'),
        import('../../store/key-use.ts'),
      ]);
      await withApp(async (app) => {
        const count = await reseal(app.db, app.keyring, { actor: actor(), door: 'operator' });
        print(`${count} sealed anew with the key '${app.keyring.keyId}'.`);
      });
    });
  keyring
    .command('retire')
    .argument('<id>')
    .description('let processes start without a key of keys.main that nothing needs')
    .action(async (id: string) => {
      const [{ withKeyring }, { actor }, { retireKey }] = await Promise.all([
        import('../keyring.ts'),
        import('../with-app.ts'),
        import('../../store/key-use.ts'),
      ]);
      await withKeyring(async ({ db, keyring: keys }) => {
        const needed = await retireKey(db, keys, id, { actor: actor(), door: 'operator' });
        if (needed !== null) throw new CommandProblem(needed);
        print(`Take '${id}' out of keys.main now; a process that starts with it makes it needed again.`);
      });
    });
}
