/** Whatever goes wrong at whichever call: repeating ends as wanted, with one record, and strangers untouched. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Item, ItemResult } from '../../connectors/kit/connector.ts';
import { isSuccess } from '../../domain/outcome.ts';
import { itemOf, startRig } from './xero-rig.ts';
import type { Rig } from './xero-rig.ts';

let rig: Rig;
const A = 'aaaaaaaa-0000-4000-8000-000000000001';

beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig.close());
beforeEach(async () => {
  await rig.control('POST', '/reset');
  rig.gate.calls.length = 0;
});

const FAULTS = [
  { name: '429' },
  { name: '500-before' },
  { name: '500-after' },
  { name: 'cut-before' },
  { name: 'cut-after' },
  { name: 'ignore' },
  { name: 'partial', params: { message: 'A validation error that nobody has seen.' } },
  { name: 'html', params: { effect: 'before' } },
  { name: 'truncate' },
  { name: 'token-expired' },
];
const PRESENCES = ['present', 'erased'] as const;
const CALLS = [0, 1, 2, 3, 4];

/** Delivers as the engine would: again until done, looking first after an unknown outcome. */
async function converge(item: Item): Promise<ItemResult[]> {
  const attempts: ItemResult[] = [];
  let next = item;
  for (let attempt = 0; attempt < 4; attempt += 1) {
    const [result] = await rig.connector.deliver([next], rig.gate);
    attempts.push(result!);
    const { data, externalIds } = result!;
    const lookFirst = data.kind === 'unknown' || (data.kind === 'retry' && data.code === 'already_exists');
    next = { ...next, externalIds, lookFirst };
    if (!isSuccess(result!.data)) continue;
    const [read] = await rig.connector.verify([next], rig.gate);
    const presence = read !== null && read !== undefined && 'presence' in read ? read.presence : 'gone';
    if (presence === (item.want.presence === 'present' ? 'present' : 'gone')) break;
  }
  return attempts;
}

test.each(PRESENCES.flatMap((presence) => FAULTS.map((fault) => [presence, fault.name, fault] as const)))(
  '%s, %s',
  async (presence, _name, fault) => {
    for (const skip of CALLS) {
      await rig.control('POST', '/reset');
      const stranger = { Name: 'Ann Lee', EmailAddress: 'other@example.com', FirstName: 'Ann' };
      const [other] = await rig.seed(stranger);
      const existing = { ...stranger, Name: `Ann Lee (${A})`, EmailAddress: 'ann.lee@example.com', ContactNumber: A };
      const ids = presence === 'erased' ? await rig.seed(existing) : [];
      await rig.control('POST', '/faults', { ...fault, skip, match: { path: 'api.xro' } });

      const attempts = await converge(itemOf(A, 'Ann Lee', { presence, externalIds: ids }));
      const last = attempts.at(-1)!;
      expect(isSuccess(last.data), `call ${skip}: ${JSON.stringify(attempts.map((each) => each.data))}`).toBe(true);
      expect((await rig.control<{ total: number }>('GET', '/records')).total).toBe(2);
      expect(await rig.held(other!)).toMatchObject({ ...stranger, ContactStatus: 'ACTIVE' });
      const held = await rig.held(last.externalIds[0] ?? ids[0]!);
      if (presence === 'present')
        expect(held).toMatchObject({ EmailAddress: 'ann.lee@example.com', ContactStatus: 'ACTIVE' });
      else expect(held).toMatchObject({ Name: `Contact ${A}`, ContactStatus: 'ARCHIVED' });
    }
  },
);
