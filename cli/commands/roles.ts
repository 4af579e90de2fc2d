/** The parts of a running installation, each by itself. */
import type { Command } from 'commander';
import { CommandProblem, EXIT } from '../exit-codes.ts';
import { print, printJson } from '../ui/text.ts';

export function addRoles(program: Command): void {
  program
    .command('worker')
    .description('run lanes, cases and runs until stopped')
    .action(async () => {
      const { runWorker } = await import('../../worker.ts');
      await runWorker(() => print('worker ready'));
    });

  program
    .command('api')
    .description('serve the HTTP API until stopped')
    .action(async () => {
      const [
        { openApp, openAppTraces },
        { buildApi },
        { originOf },
        { answerMeter, createRegistry },
        { addStanding, openStandingDb },
        { openTelemetry },
      ] = await Promise.all([
        import('../../app.ts'),
        import('../../api/server.ts'),
        import('../../api/codec-door.ts'),
        import('../../telemetry/metrics.ts'),
        import('../../telemetry/standing.ts'),
        import('../../telemetry/open.ts'),
      ]);
      const app = await openApp('api');
      const traces = await openAppTraces(app, 'api');
      const { config, environment, db, keyring, operations, log } = app;
      const registry = createRegistry('api');
      const figures = openStandingDb(app.databaseUrl);
      const telemetry = await openTelemetry(app, registry, 'api', addStanding(registry, figures));
      const codec = {
        codec: app.codec,
        uiOrigin: originOf(environment.temporalUi),
        secure: config.api.publicUrl.startsWith('https:'),
      };
      const api = buildApi({ db, keyring, config, operations, log, codec, onAnswered: answerMeter(registry), traces });
      const port = environment.ports['api'] ?? config.api.port;
      print(`api ready ${await api.listen({ host: config.api.host, port })}`);
      await new Promise<void>((stop) => {
        for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop());
      });
      await api.close();
      await traces?.close();
      await telemetry?.close();
      await figures.destroy();
      await app.close();
    });

  program
    .command('migrate')
    .description('bring the database schema up to date')
    .option('--down', 'undo everything: all data are lost')
    .option('--yes-lose-all-data', 'needed with --down')
    .action(async (options: { down?: boolean; yesLoseAllData?: boolean }) => {
      const [{ openDatabase }, { migrate, migrateDown }] = await Promise.all([
        import('../../app.ts'),
        import('../../store/migrate.ts'),
      ]);
      if (options.down === true && options.yesLoseAllData !== true) {
        throw new CommandProblem('This deletes every table of Plumbline. Say so with --yes-lose-all-data.', EXIT.usage);
      }
      const { db } = await openDatabase('migrate');
      try {
        const ran = options.down === true ? await migrateDown(db) : await migrate(db, print);
        print(
          ran.length === 0
            ? 'The schema is up to date.'
            : ran.map((name) => `${options.down ? 'undone' : 'ran'} ${name}`).join('\n'),
        );
      } finally {
        await db.destroy();
      }
    });

  program
    .command('sandbox')
    .argument('<vendor>', 'hubspot, mailchimp or xero')
    .description('play a vendor until stopped')
    .requiredOption('--port <n>', 'port of its API', Number)
    .requiredOption('--control-port <n>', 'port of its control', Number)
    .option('--data <file>', 'keep its state in this file')
    .action(async (vendor: string, options: { port: number; controlPort: number; data?: string }) => {
      const { runSandbox } = await import('../../sandboxes/main.ts');
      const { port, controlPort, data } = options;
      await runSandbox(vendor, { port, controlPort, ...(data === undefined ? {} : { dataFile: data }) });
      // It ends the process itself when a signal has made it write its state.
      await new Promise(() => undefined);
    });

  const config = program.command('config').description('the configuration file');
  config
    .command('check')
    .argument('[file]', 'default: PLUMBLINE_CONFIG or plumbline.yaml')
    .description('report every mistake at once, missing secrets included')
    .option('--json', 'as JSON')
    .action(async (file: string | undefined, options: { json?: boolean }) => {
      const { checkConfig, formatProblem, readEnvironment } = await import('../../config/index.ts');
      const problems = await checkConfig(file ?? readEnvironment().configPath);
      if (options.json === true) printJson(problems);
      else if (problems.length === 0) print('The configuration is sound.');
      else for (const problem of problems) print(formatProblem(problem));
      if (problems.length > 0) process.exitCode = EXIT.problem;
    });
  config
    .command('print')
    .description('what the programme takes from it, without secrets')
    .action(async () => {
      const { loadConfig, readEnvironment, redacted } = await import('../../config/index.ts');
      print(redacted(await loadConfig(readEnvironment().configPath)));
    });

  config
    .command('schema')
    .description('its JSON Schema, for editors')
    .addHelpText(
      'after',
      '\nExample:\n  plumbline config schema > plumbline.schema.json\n  # and as the first line of plumbline.yaml:\n  # yaml-language-server: $schema=plumbline.schema.json',
    )
    .action(async () => {
      const { configJsonSchema } = await import('../../config/index.ts');
      printJson(configJsonSchema());
    });
}
