/** The image and the manifests, as far as they can be judged where nothing runs them. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { ROOT } from '../../local/program.ts';
import { WORKER_ENV, WORKER_FLAGS } from '../../local/worker-flags.ts';

const FOLDER = join(ROOT, 'deploy/kubernetes');

interface Container {
  name: string;
  image: string;
  args: string[];
  env: { name: string; value?: string; valueFrom?: { secretKeyRef?: { name: string; key: string } } }[];
  ports?: { name: string; containerPort: number }[];
  livenessProbe?: { httpGet: { path: string; port: string } };
  readinessProbe?: { httpGet: { path: string; port: string } };
  resources: { requests: object; limits: { memory: string } };
  securityContext: Record<string, unknown>;
}
interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
  spec?: {
    template?: {
      spec: {
        containers: Container[];
        securityContext: Record<string, unknown>;
        terminationGracePeriodSeconds?: number;
      };
    };
  };
}

const manifests = readdirSync(FOLDER).flatMap((file) =>
  parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8')).map((document) => {
    expect(document.errors, file).toEqual([]);
    return document.toJS() as Manifest;
  }),
);
const pods = manifests.flatMap(({ kind, metadata, spec }) =>
  spec?.template === undefined ? [] : [{ kind, name: metadata.name, ...spec.template.spec }],
);

test('there are worker, API and migration', () => {
  expect(pods.map(({ kind, name }) => `${kind} ${name}`).toSorted()).toEqual([
    'Deployment plumbline-api',
    'Deployment plumbline-worker',
    'Job plumbline-migrate',
  ]);
  for (const { containers } of pods)
    for (const { args, image } of containers) {
      expect(['worker', 'api', 'migrate']).toContain(args[0]);
      expect(image).toMatch(/^plumbline:\d+\.\d+\.\d+$/);
    }
});

test('secrets are references only', () => {
  const secret = /TOKEN|SECRET|KEY|DATABASE_URL|CLIENT_ID/;
  for (const { containers, name } of pods)
    for (const { env } of containers)
      for (const one of env.filter((e) => secret.test(e.name))) {
        expect(one.value, `${name} ${one.name}`).toBeUndefined();
        expect(one.valueFrom?.secretKeyRef?.name, `${name} ${one.name}`).toBe('plumbline');
      }
});

test('each role has a database account of its own', () => {
  const keys = pods.flatMap(({ containers }) =>
    containers.flatMap(({ env }) =>
      env.filter((e) => e.name === 'DATABASE_URL').map((e) => e.valueFrom?.secretKeyRef?.key),
    ),
  );
  expect(new Set(keys).size).toBe(3);
});

test('nothing runs as root, writes to its file system or asks for a capability', () => {
  for (const { containers, securityContext, name } of pods) {
    expect(securityContext, name).toMatchObject({ runAsNonRoot: true });
    for (const one of containers)
      expect(one.securityContext, name).toMatchObject({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
  }
});

test('worker and API are probed at paths that they answer, and get the time they need to end', () => {
  for (const { containers, kind, name, terminationGracePeriodSeconds } of pods.filter((p) => p.kind === 'Deployment')) {
    const [one] = containers;
    expect(kind).toBe('Deployment');
    expect(one?.livenessProbe?.httpGet.path).toBe('/health');
    expect(one?.readinessProbe?.httpGet.path).toBe('/ready');
    const named = one?.ports?.map((p) => p.name);
    expect(named, name).toContain(one?.livenessProbe?.httpGet.port);
    expect(named, name).toContain(one?.readinessProbe?.httpGet.port);
    if (name === 'plumbline-worker') expect(terminationGracePeriodSeconds).toBeGreaterThanOrEqual(40);
  }
});

test('the image has every folder that the programme imports, and not root', () => {
  const lines = readFileSync(join(ROOT, 'deploy/Dockerfile'), 'utf8').split('\n');
  const copied = new Set(lines.flatMap((line) => /^COPY (\w+) \1$/.exec(line)?.[1] ?? []));
  const needed = new Set(['bin']);
  const follow = (file: string): void => {
    const folder = file.includes('/') ? file.split('/')[0]! : '';
    if (folder !== '' && folder !== 'node_modules') needed.add(folder);
  };
  const seen = new Set<string>();
  const walk = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    follow(file);
    const text = readFileSync(join(ROOT, file), 'utf8');
    for (const [, target = ''] of text.matchAll(/(?:from|import\()\s*'(\.[^']+\.ts)'/g)) {
      const next = join(file, '..', target);
      if (existsSync(join(ROOT, next)) && statSync(join(ROOT, next)).isFile()) walk(next);
    }
  };
  walk('cli/main.ts');
  // The one-machine rig and the sandboxes are for trying out.
  const left = [...needed].filter((folder) => !copied.has(folder) && !['local', 'sandboxes'].includes(folder));
  expect(left).toEqual([]);
  expect(lines.findLast((line) => line.startsWith('USER'))).toBe('USER node');
});

test('the image starts with the flags and the environment that were measured', () => {
  const image = readFileSync(join(ROOT, 'deploy/Dockerfile'), 'utf8');
  expect(image).toContain(`ENTRYPOINT ["node", ${WORKER_FLAGS.map((flag) => JSON.stringify(flag)).join(', ')}, `);
  for (const [name, value] of Object.entries(WORKER_ENV)) expect(image).toContain(`ENV ${name}=${value}\n`);
});
