/**
 * The image and the manifests under other people's eyes: the linter of Docker's editors (`dockerfile-utils`) and the schemas that
 * `kubernetes-models` makes from Kubernetes' own OpenAPI description.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { validate } from 'dockerfile-utils';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { ROOT } from '../../local/program.ts';

const FOLDER = join(ROOT, 'deploy/kubernetes');

interface Manifest {
  apiVersion: string;
  kind: string;
}
type Model = new (manifest: unknown) => { validate(): void };

const manifests = readdirSync(FOLDER).flatMap((file) =>
  parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8')).map((document) => {
    const manifest = document.toJS() as Manifest;
    return [`${file}: ${manifest.kind}`, manifest] as const;
  }),
);

/** What the schema has against it; null where nothing. */
async function problem(manifest: Manifest): Promise<string | null> {
  const { apiVersion, kind } = manifest;
  const name = `kubernetes-models/${apiVersion}/${kind}`;
  const module = (await import(/* @vite-ignore */ name)) as Record<string, Model>;
  const model = module[kind];
  if (model === undefined) return `no ${kind} in ${apiVersion}`;
  try {
    new model(manifest).validate();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Every key, as the path to it. */
function* keysOf(value: unknown, path: readonly string[] = []): Generator<readonly string[]> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    if (!Array.isArray(value)) yield [...path, key];
    yield* keysOf(inner, [...path, key]);
  }
}

/** Keys that Kubernetes does not know. The schemas let them pass, but of a known one they refuse what it can never be: lists in a list. */
async function unknownKeys(manifest: Manifest): Promise<string[]> {
  const unknown: string[] = [];
  for (const path of keysOf(manifest)) {
    if (path[0] === 'apiVersion' || path[0] === 'kind') continue;
    const spoilt = structuredClone(manifest);
    let at = spoilt as unknown as Record<string, unknown>;
    for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
    at[path.at(-1)!] = [[]];
    if ((await problem(spoilt)) === null) unknown.push(path.join('.'));
  }
  return unknown;
}

test.each(manifests)('%s is what Kubernetes takes, and every key is one that it knows', async (_name, manifest) => {
  expect(await problem(manifest)).toBeNull();
  expect(await unknownKeys(manifest)).toEqual([]);
});

test('mistakes in a manifest are seen: a wrong type, something missing, a key misspelt', async () => {
  const worker = manifests.find(([name]) => name === 'worker.yaml: Deployment')![1];
  const change = (from: string, to: string): Manifest => {
    const text = JSON.stringify(worker);
    expect(text).toContain(from);
    return JSON.parse(text.replace(from, to)) as Manifest;
  };
  expect(await problem(change('"containerPort":7310', '"containerPort":"metrics"'))).toContain('must be integer');
  expect(await problem(change('"selector"', '"selectors"'))).toContain('selector');
  expect(await unknownKeys(change('"readinessProbe"', '"readynessProbe"'))).toEqual(
    expect.arrayContaining([expect.stringMatching(/readynessProbe$/u)]),
  );
});

test('the Dockerfile has nothing that a linter minds, and the linter minds something', () => {
  const minded = (text: string): unknown[] => validate(text).map(({ message }) => message);
  const text = readFileSync(join(ROOT, 'deploy/Dockerfile'), 'utf8');
  expect(minded(text)).toEqual([]);
  expect(minded(text.replace('USER node', 'USRE node'))).toEqual(['Unknown instruction: USRE']);
});
