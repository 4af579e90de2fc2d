/** One address, several people: one record at the vendor, the strictest consent of all, and each leaves without harming the other. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rows } from '../../store/db.ts';
import { addPerson, allHeld, externalIds, held } from '../rig/people.ts';
import { converged, createWorld, eventually } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

let world: World;

beforeAll(async () => {
  world = await createWorld({ vendors: ['mailchimp', 'hubspot'] });
  await world.startWorker();
}, 120_000);

afterAll(async () => {
  await world?.close();
});

const membersOf = async (address: string) =>
  (await allHeld(world, 'mailchimp')).filter((m) => m.email_address === address);
const contactsOf = async (address: string) =>
  (await allHeld(world, 'hubspot')).filter((c) => c.properties['email'] === address);

async function withdraw(id: string): Promise<void> {
  await world.call('POST', `/v1/contacts/${id}/consents?wait=verified&timeoutMs=30000`, {
    events: [{ purpose: 'newsletter', kind: 'withdrawn', channel: 'phone', byPerson: true }],
  });
  await converged(world);
}

test('the oldest holder supplies the record; the strictest consent of all stands', async () => {
  const email = 'info@shared.example';
  const elder = await addPerson(world, 'Elder', 'Holder', { email });
  const younger = await addPerson(world, 'Younger', 'Holder', { email });
  await converged(world);
  expect((await membersOf(email)).map((m) => [m.merge_fields['FNAME'], m.status])).toEqual([['Elder', 'subscribed']]);
  expect((await contactsOf(email)).map((c) => c.properties['firstname'])).toEqual(['Elder']);
  expect(await externalIds(world, younger.id, 'mailchimp')).toEqual([]);

  await withdraw(younger.id);
  expect((await membersOf(email)).map((m) => m.status)).toEqual(['unsubscribed']);
  expect((await contactsOf(email)).map((c) => c._subscriptions?.['1001'])).toEqual(['UNSUBSCRIBED']);
  const mine = await world.call('GET', `/v1/contacts/${elder.id}/consents`);
  expect((mine.body['consents'] as Record<string, { state: string }>)['newsletter']?.state).toBe('given');
});

test('who comes to share an address takes the record under the former one along: it leaves', async () => {
  const first = await addPerson(world, 'Stays', 'Put');
  const moving = await addPerson(world, 'Moves', 'In');
  const [former] = await externalIds(world, moving.id, 'mailchimp');
  const [formerContact] = await externalIds(world, moving.id, 'hubspot');
  await world.call('PATCH', `/v1/contacts/${moving.id}?wait=verified&timeoutMs=30000`, { emails: [first.email] });
  await converged(world);
  expect((await held(world, 'mailchimp', former!))?.status).toBe('archived');
  expect((await held(world, 'hubspot', formerContact!))?.archived).toBe(true);
  expect((await membersOf(first.email)).map((m) => [m.merge_fields['FNAME'], m.status])).toEqual([
    ['Stays', 'subscribed'],
  ]);
  expect((await contactsOf(first.email)).map((c) => c.properties['firstname'])).toEqual(['Stays']);
});

test('erasing one holder keeps the other: the record is told from the next one, and the erased cannot come back by name', async () => {
  const email = 'team@shared.example';
  const elder = await addPerson(world, 'Leaves', 'Forever', { email });
  const younger = await addPerson(world, 'Remains', 'Here', { email });
  await converged(world);
  const asked = await world.call('POST', `/v1/contacts/${elder.id}/erasure`, {});
  const caseId = String(asked.body['caseId']);
  await world.call('POST', `/v1/cases/${caseId}/decision`, { verdict: 'approve', ground: 'art17_1_b' });
  await eventually(
    'the case is done',
    async () => (await world.call('GET', `/v1/cases/${caseId}`)).body['state'] === 'done',
  );
  await eventually('the next holder supplies the record', async () => {
    const [member] = await membersOf(email);
    return member?.merge_fields['FNAME'] === 'Remains';
  });
  await converged(world);
  expect(await membersOf(email)).toHaveLength(1);
  expect((await contactsOf(email)).map((c) => c.properties['firstname'])).toEqual(['Remains']);
  expect(JSON.stringify(await allHeld(world, 'hubspot'))).not.toContain('Forever');
  expect(await externalIds(world, younger.id, 'mailchimp')).toHaveLength(1);
  const stones = await rows<{ kind: string }>(
    world.db,
    `select distinct kind from tombstones where kind like 'email%'`,
  );
  expect(stones.map((s) => s.kind)).toEqual(['email_name']);
  const back = await world.call('POST', '/v1/contacts', {
    givenName: 'Leaves',
    familyName: 'Forever',
    emails: [email],
  });
  expect(back.status).toBe(409);
  const third = await world.call('POST', '/v1/contacts', { givenName: 'Somebody', familyName: 'New', emails: [email] });
  expect(third.status).toBe(201);
});
