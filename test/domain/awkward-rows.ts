/** One made-up row of each kind that real files have been seen to hold, and what must come of it. */
import { DEFAULT_COLUMNS, DEFAULT_CONSENT_COLUMNS, type RowOptions } from '../../domain/csv-row.ts';

export const now = '2026-11-25T12:00:00.000Z';

export const options: RowOptions = {
  columns: { ...DEFAULT_COLUMNS, vip: 'attributes.vip', tier: 'attributes.tier' },
  consents: DEFAULT_CONSENT_COLUMNS,
  attributes: { vip: { type: 'boolean' }, tier: { type: 'text', values: ['gold', 'silver'] } },
  purposes: ['newsletter'],
  now,
};

const plainRow = {
  external_ref: 'R1',
  given_name: 'Ada',
  family_name: 'Muster',
  email: 'ada.muster@mail.example',
  phone: '+44 20 7946 0000',
  organisation: 'Muster & Co.',
  street: '1 Test Street',
  city: 'Testford',
  postcode: 'T1 1TT',
  country: 'GB',
  locale: 'en-GB',
  relationship: 'customer',
  account_manager: 'beth',
  source: 'website',
  created_at: '2024-05-04T18:44:53Z',
  last_transaction_at: '2025-01-01T00:00:00Z',
  contract_until: '2027-11-18T23:38:30Z',
  newsletter: 'unknown',
  consent_at: '',
  consent_channel: '',
  consent_statement: '',
};

export function rowOf(changes: Record<string, string> = {}): Record<string, string> {
  return { ...plainRow, ...changes };
}

/** What is changed in the plain row, and the column and code of the only reject. */
export const rejected: readonly [Record<string, string>, string, string][] = [
  [{ email: 'ada.mustermail.example' }, 'email', 'no_at'],
  [{ email: 'a@b' }, 'email', 'domain_without_dot'],
  [{ email: 'name@exa mple.com' }, 'email', 'space'],
  [{ email: 'x@example.com\r\nBcc: y@example.com' }, 'email', 'line_break'],
  [{ email: '<script>alert(1)</script>@example.com' }, 'email', 'bad_local_part'],
  [{ email: "=cmd|' /C calc'!A0@example.com" }, 'email', 'formula'],
  [{ email: `${'very'.repeat(40)}@example.com` }, 'email', 'local_part_too_long'],
  [{ given_name: '=HYPERLINK("http://example.com")' }, 'given_name', 'formula'],
  [{ organisation: '@SUM(1+1)*cmd' }, 'organisation', 'formula'],
  [{ given_name: 'Zoë \u202eevil' }, 'given_name', 'bidi_control'],
  [{ family_name: 'Muster\nBcc: y@example.com' }, 'family_name', 'line_break'],
  [{ family_name: 'Mus\u0000ter' }, 'family_name', 'control_character'],
  [{ family_name: 'Mus\uD800ter' }, 'family_name', 'control_character'],
  [{ given_name: 'N'.repeat(5_000) }, 'given_name', 'too_long'],
  [{ created_at: '31/02/2025' }, 'created_at', 'impossible_date'],
  [{ created_at: '2023-02-30' }, 'created_at', 'impossible_date'],
  [{ created_at: '03/04/2025' }, 'created_at', 'date_format'],
  [{ created_at: '2031-01-01T00:00:00Z' }, 'created_at', 'future_date'],
  [{ last_transaction_at: '2031-01-01' }, 'last_transaction_at', 'future_date'],
  [{ contract_until: 'some day' }, 'contract_until', 'date_format'],
  [{ phone: 'call me' }, 'phone', 'not_a_phone'],
  [{ country: 'ZZ' }, 'country', 'unknown_country'],
  [{ country: 'Britain' }, 'country', 'unknown_country'],
  [{ locale: 'english!' }, 'locale', 'bad_locale'],
  [{ relationship: 'friend' }, 'relationship', 'unknown_relationship'],
  [{ vip: 'perhaps' }, 'vip', 'not_a_boolean'],
  [{ tier: 'lead' }, 'tier', 'not_among_values'],
  [{ newsletter: 'maybe' }, 'newsletter', 'unknown_consent'],
  [{ external_ref: '', email: '' }, '', 'no_identity'],
];

/** What is changed in the plain row, and the part of the data that it becomes. */
export const accepted: readonly [Record<string, string>, Record<string, unknown>][] = [
  [{ email: ' ADA.MUSTER@BÜCHER.EXAMPLE ' }, { emails: ['ADA.MUSTER@xn--bcher-kva.example'] }],
  [{ email: 'ünï@example.com' }, { emails: ['ünï@example.com'] }],
  [{ email: '' }, {}],
  [
    { given_name: '名前', family_name: '山田' },
    { givenName: '名前', familyName: '山田' },
  ],
  [
    { given_name: 'عائشة', family_name: 'כהן' },
    { givenName: 'عائشة', familyName: 'כהן' },
  ],
  [{ given_name: 'می\u200Cلاد' }, { givenName: 'می\u200Cلاد' }],
  [{ given_name: '\u200FAda\uFEFF' }, { givenName: 'Ada' }],
  [{ given_name: '  Ada\t Maria ' }, { givenName: 'Ada Maria' }],
  [{ family_name: "'t Hooft" }, { familyName: "'t Hooft" }],
  [{ family_name: 'Zoe\u0308' }, { familyName: 'Zoë' }],
  [{ organisation: '+Pluspunkt' }, { organisation: '+Pluspunkt' }],
  [{ street: 'Flat 1,\r\nHigh Street 2' }, { street: 'Flat 1, High Street 2' }],
  [{ phone: '+90(806)195-0000x159' }, { phones: ['+90(806)195-0000x159'] }],
  [
    { country: 'uk', locale: 'en_gb' },
    { country: 'GB', locale: 'en-GB' },
  ],
  [{ relationship: 'Former Customer' }, { relationship: 'former_customer' }],
  [{ created_at: '2024-05-04' }, { obtainedAt: '2024-05-04T00:00:00.000Z' }],
  [{ contract_until: '2030-01-01T23:59:00Z' }, { contractEnd: '2030-01-01' }],
  [{ vip: 'Yes', tier: 'gold' }, { attributes: { vip: true, tier: 'gold' } }],
];
