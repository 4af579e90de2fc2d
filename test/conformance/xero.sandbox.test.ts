import type { Facts } from './fixture.ts';
import { conformance } from './suite.ts';

const facts: Facts = {
  vendor: 'xero',
  tokens: '/connect/token',
  settings: { tenantId: '11111111-1111-4111-8111-111111111111' },
  secrets: {
    clientId: 'sandbox-xero-client',
    clientSecret: 'sandbox-xero-secret',
    refreshToken: 'sandbox-xero-refresh-0',
  },
  fields: { given: 'FirstName', family: 'LastName', email: 'EmailAddress' },
  consentTarget: null,
  creates: { method: 'PUT', path: '/Contacts' },
  updates: { method: 'POST', path: '/Contacts' },
  reads: { method: 'GET', path: '/Contacts' },
  stranger: (n) => ({ Name: `stranger ${n}`, EmailAddress: `stranger${n}@elsewhere.example` }),
  unsubscribes: null,
  family: (record) => record['LastName'] as string | undefined,
  consent: () => undefined,
  isGone: (record) => record === null || record['ContactStatus'] === 'ARCHIVED',
};

conformance(facts);
conformance({
  ...facts,
  by: 'a custom connection',
  settings: { grant: 'client_credentials' },
  secrets: { clientId: 'sandbox-xero-client', clientSecret: 'sandbox-xero-secret' },
});
