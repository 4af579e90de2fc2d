/** The configuration, its secrets, and the Node that runs it. */
import { checkConfig, formatProblem, codecKeys, loadConfig, mainKeys, readEnvironment } from '../../config/index.ts';
import type { Config } from '../../config/index.ts';
import type { NamedKey } from '../../domain/keys.ts';
import type { Finding } from './finding.ts';

const NODE_MAJOR = 24;

export async function looksAtConfiguration(): Promise<{
  findings: Finding[];
  config: Config | null;
  keys: NamedKey[] | null;
}> {
  const findings: Finding[] = [node()];
  const path = readEnvironment().configPath;
  const problems = await checkConfig(path);
  if (problems.length === 0)
    findings.push({ state: 'ok', what: 'configuration', found: 'sound, and every secret is there' });
  for (const problem of problems)
    findings.push({
      state: 'fail',
      what: 'configuration',
      found: formatProblem(problem).split('\n')[0] ?? '',
      advice: 'Correct it; `plumbline config check` tells more.',
    });
  const config = await loadConfig(path).catch(() => null);
  if (config !== null) findings.push(...(await histories(config)));
  const keys = config === null ? null : await mainKeys(config).catch(() => null);
  return { findings, config, keys };
}

/** A missing key is said with the other secrets. */
async function histories(config: Config): Promise<Finding[]> {
  const keys = await codecKeys(config).catch(() => null);
  const [first] = keys ?? [];
  if (keys === null) return [];
  return first === undefined
    ? [
        {
          state: 'warn',
          what: 'histories',
          found: 'Temporal keeps them unsealed',
          advice: 'Give keys.codec: docs/security.md, What Temporal keeps.',
        },
      ]
    : [{ state: 'ok', what: 'histories', found: `sealed with the key ${first.id}` }];
}

function node(): Finding {
  const { node: version } = process.versions;
  return Number(version.split('.')[0]) >= NODE_MAJOR
    ? { state: 'ok', what: 'Node', found: version }
    : { state: 'fail', what: 'Node', found: version, advice: `Install Node ${NODE_MAJOR} or newer.` };
}
