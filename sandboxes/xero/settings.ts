/** What this sandbox can be told besides the settings of every sandbox. */
import type { Settings } from '../kit/vendor.ts';

export interface XeroSettings extends Settings {
  clientId: string;
  clientSecret: string;
  /** Works from the start, as if a person had just connected the application. */
  refreshToken: string;
  tenantId: string;
  minuteLimit: number;
  dayLimit: number;
  concurrentLimit: number;
  appMinuteLimit: number;
  /** How long an idempotency key is remembered. */
  idempotencyMs: number;
  /** What a POST without id, with a new ContactNumber and the name of an existing contact does (users report `update`). */
  sameName: 'update' | 'refuse';
}

/** Limits: developer.xero.com, "OAuth 2.0 API limits". */
export const defaultSettings = {
  clientId: 'sandbox-xero-client',
  clientSecret: 'sandbox-xero-secret',
  refreshToken: 'sandbox-xero-refresh-0',
  tenantId: '11111111-1111-4111-8111-111111111111',
  minuteLimit: 60,
  dayLimit: 5000,
  concurrentLimit: 5,
  appMinuteLimit: 10_000,
  idempotencyMs: 6 * 60_000,
  sameName: 'update',
};
