import { conformance } from './suite.ts';

conformance({
  vendor: 'mailchimp',
  settings: { list: 'aud-main', server: 'us1' },
  secrets: { apiKey: 'sandbox-mailchimp-key-us1' },
  fields: { given: 'FNAME', family: 'LNAME', email: null },
  consentTarget: 'status',
  creates: { method: 'PUT', path: '/members/' },
  updates: { method: 'PATCH', path: '/members/' },
  reads: { method: 'GET', path: '/members' },
  stranger: (n) => ({
    email_address: `stranger${n}@elsewhere.example`,
    status: 'subscribed',
    merge_fields: { LNAME: 'stranger' },
  }),
  unsubscribes: { status: 'unsubscribed', by: 'person' },
  family: (record) => (record['merge_fields'] as Record<string, string> | undefined)?.['LNAME'],
  consent: (record) => record['status'] as string,
  isGone: (record) => record === null,
});
