/** What is kept of a vendor's message. */
import { expect, test } from 'vitest';
import { masked } from '../../connectors/kit/mask.ts';

test.each([
  ['Bearer pat-eu1-0a1b2c3d is expired', '<credential> is expired'],
  ['Bearer sandbox-hubspot-token is not taken', '<credential> is not taken'],
  ['Authorization: Basic YW55OjEyMzQ1Ng== refused', 'Authorization: <credential> refused'],
  ['The API key 0123456789abcdef-us1 is invalid', 'The <credential> is invalid'],
  ['access_token=ya29.a0Af refused; client_secret: s3cr3t-word', '<credential> refused; <credential>'],
  ['ada@example.com exists', '<address> exists'],
  ['Property "lifecyclestage" of "Lovelace"', 'Property "lifecyclestage" of <value>'],
  ['call +44 20 7946 0018', 'call <number>'],
])('%s', (message, kept) => {
  expect(masked(message, ['lifecyclestage'])).toBe(kept);
});

test.each(['The token has expired', 'Basic authentication is not supported', 'The password reset failed'])(
  'words that are no credential stay: %s',
  (message) => {
    expect(masked(message)).toBe(message);
  },
);
