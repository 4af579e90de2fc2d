/** Comparing readings with what is wanted. */
import { expect, test } from 'vitest';
import { compareReading } from '../../activities/judging.ts';
import type { Capabilities, Observation } from '../../connectors/kit/connector.ts';
import type { SystemRules, Want } from '../../domain/want.ts';

const capabilities = { erase: 'scrub_and_archive', purge: 'scrub_and_archive' } as Capabilities;
const rules = { fields: [] as SystemRules['fields'] } as SystemRules;
const want: Want = {
  presence: 'present',
  key: 'a@example.com',
  fields: { FirstName: 'Ann', 'Phones.DEFAULT': '123' },
  consents: {},
};
const reading: Observation = {
  externalId: '1',
  reference: null,
  presence: 'present',
  addresses: ['office@example.com', 'a@example.com'],
  fields: { FirstName: 'Ann' },
  consents: {},
};
const differing = (shared: boolean, fields: Record<string, string>) =>
  compareReading(want, { ...reading, fields, shared }, rules, capabilities, { addresses: [], names: [] }).fields;

test('in a record that also holds others, only what it tells of the person is compared', () => {
  expect(differing(true, { FirstName: 'Ann' })).toEqual([]);
  expect(differing(true, { FirstName: 'Anne' })).toEqual(['FirstName']);
  expect(differing(false, { FirstName: 'Ann' })).toEqual(['Phones.DEFAULT']);
});
