/** No vendor gives an id twice: not even the id of a write that a fault undid. */
import { afterAll, expect, test } from 'vitest';
import { startSandbox } from '../../sandboxes/kit/server.ts';
import type { Sandbox } from '../../sandboxes/kit/server.ts';
import { loadVendor } from '../../sandboxes/main.ts';

const open: Sandbox[] = [];
afterAll(async () => {
  await Promise.all(open.map(async (sandbox) => sandbox.close()));
});

const ASK = {
  hubspot: {
    headers: { authorization: 'Bearer sandbox-hubspot-token' },
    method: 'POST',
    path: () => '/crm/v3/objects/contacts',
    body: (n: number) => ({ properties: { email: `n${n}@example.com` } }),
    id: (answer: Record<string, unknown>) => answer['id'],
  },
  mailchimp: {
    headers: { authorization: `Basic ${Buffer.from('any:sandbox-mailchimp-key-us1').toString('base64')}` },
    method: 'POST',
    path: () => '/3.0/lists/aud-main/members',
    body: (n: number) => ({ email_address: `n${n}@example.com`, status: 'transactional' }),
    id: (answer: Record<string, unknown>) => answer['contact_id'],
  },
} as const;

test.each(['hubspot', 'mailchimp'] as const)('%s', async (vendor) => {
  const module = await loadVendor(vendor);
  if (module === undefined) throw new Error('no such sandbox');
  const sandbox = await startSandbox({ module, port: 0, controlPort: 0, settings: { latencyMs: 0, limits: false } });
  open.push(sandbox);
  const { headers, method, path, body, id } = ASK[vendor];
  const create = async (n: number): Promise<unknown> => {
    const answer = await fetch(`${sandbox.url}${path()}`, {
      method,
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body(n)),
    });
    expect(answer.ok).toBe(true);
    return id((await answer.json()) as Record<string, unknown>);
  };
  const ids = [await create(1)];
  await fetch(`${sandbox.controlUrl}/faults`, { method: 'POST', body: JSON.stringify({ name: 'ignore', count: 1 }) });
  ids.push(await create(2));
  const { faults } = (await (await fetch(`${sandbox.controlUrl}/faults`)).json()) as { faults: { fired: number }[] };
  expect(faults[0]?.fired).toBe(1);
  ids.push(await create(2), await create(3));
  expect(ids.every((one) => typeof one === 'string' && one !== '')).toBe(true);
  expect(new Set(ids).size).toBe(4);
});
