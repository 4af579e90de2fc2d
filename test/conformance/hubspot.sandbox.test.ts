import type { Facts } from './fixture.ts';
import { conformance } from './suite.ts';

const facts: Facts = {
  vendor: 'hubspot',
  settings: {},
  secrets: { token: 'sandbox-hubspot-token' },
  fields: { given: 'firstname', family: 'lastname', email: 'email' },
  consentTarget: '1001',
  creates: { method: 'POST', path: '/contacts/batch/upsert' },
  updates: { method: 'POST', path: '/contacts/batch/update' },
  reads: { method: 'POST', path: '/contacts/batch/read' },
  stranger: (n) => ({ properties: { email: `stranger${n}@elsewhere.example`, lastname: 'stranger' } }),
  unsubscribes: { _subscriptions: { '1001': 'UNSUBSCRIBED' }, self: true },
  family: (record) => (record['properties'] as Record<string, string> | undefined)?.['lastname'],
  consent: (record) => (record['_subscriptions'] as Record<string, string> | undefined)?.['1001'],
  isGone: (record) => record === null,
  isShort: true,
};

conformance(facts);
conformance({
  ...facts,
  by: 'OAuth',
  tokens: '/oauth/2026-03/token',
  settings: { grant: 'refresh_token' },
  secrets: {
    clientId: 'sandbox-hubspot-client',
    clientSecret: 'sandbox-hubspot-secret',
    refreshToken: 'sandbox-hubspot-refresh',
  },
});
