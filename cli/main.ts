/** The `plumbline` command: roles of a running installation. */
import { Command } from 'commander';
import { loadConfig, readEnvironment } from '../config/index.ts';

const program = new Command('plumbline').description('One contact record, true everywhere.');

program
  .command('worker')
  .description('run lanes, cases and runs')
  .action(async () => {
    const { runWorker } = await import('../worker.ts');
    await runWorker(() => process.stdout.write('worker ready\n'));
  });

program
  .command('api')
  .description('serve the HTTP API')
  .action(async () => {
    const [{ openApp }, { buildApi }] = await Promise.all([import('../app.ts'), import('../api/server.ts')]);
    const app = await openApp('api');
    const api = buildApi({
      db: app.db,
      keyring: app.keyring,
      config: app.config,
      operations: app.operations,
      log: app.log,
    });
    const url = await api.listen({
      host: app.config.api.host,
      port: app.environment.ports['api'] ?? app.config.api.port,
    });
    process.stdout.write(`api ready ${url}\n`);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => void api.close().then(() => app.close()));
    }
  });

program
  .command('migrate')
  .description('bring the schema up to date')
  .action(async () => {
    const [{ openDatabase }, { migrate }] = await Promise.all([import('../app.ts'), import('../store/migrate.ts')]);
    const { db } = await openDatabase('migrate');
    const ran = await migrate(db);
    process.stdout.write(ran.length === 0 ? 'The schema is up to date.\n' : `${ran.join('\n')}\n`);
    await db.destroy();
  });

program
  .command('sandbox <vendor>')
  .description('play a vendor')
  .requiredOption('--port <n>', 'port of its API', Number)
  .requiredOption('--control-port <n>', 'port of its control', Number)
  .option('--data <file>', 'keep its state here')
  .action(async (vendor: string, options: { port: number; controlPort: number; data?: string }) => {
    const { runSandbox } = await import('../sandboxes/main.ts');
    await runSandbox(vendor, {
      port: options.port,
      controlPort: options.controlPort,
      ...(options.data === undefined ? {} : { dataFile: options.data }),
    });
  });

program
  .command('config')
  .command('check')
  .action(async () => {
    await loadConfig(readEnvironment().configPath);
    process.stdout.write('The configuration is sound.\n');
  });

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
