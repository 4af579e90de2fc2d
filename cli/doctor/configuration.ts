/** The configuration, its secrets, and the Node that runs it. */
import { checkConfig, formatProblem, loadConfig, mainKey, readEnvironment } from '../../config/index.ts';
import type { Config } from '../../config/index.ts';
import type { Finding } from './finding.ts';

const NODE_MAJOR = 24;

export async function looksAtConfiguration(): Promise<{
  findings: Finding[];
  config: Config | null;
  key: Buffer | null;
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
  const key = config === null ? null : await mainKey(config).catch(() => null);
  return { findings, config, key };
}

function node(): Finding {
  const { node: version } = process.versions;
  return Number(version.split('.')[0]) >= NODE_MAJOR
    ? { state: 'ok', what: 'Node', found: version }
    : { state: 'fail', what: 'Node', found: version, advice: `Install Node ${NODE_MAJOR} or newer.` };
}
