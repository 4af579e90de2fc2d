/** Settings of a system with this connector. */
import { z } from 'zod';

export const settingsSchema = z
  .strictObject({
    /** The organisation; GET /connections lists it. Custom connections belong to one and leave it out. */
    tenantId: z.uuid().optional(),
    /** `client_credentials` for a custom connection. */
    grant: z.enum(['refresh_token', 'client_credentials']).default('refresh_token'),
    /** Identity server; left out, Xero's own, or the sandbox where the system has a base URL. */
    issuer: z.url().optional(),
    /** Scopes that a custom connection asks for. */
    scope: z.string().default('accounting.contacts accounting.transactions.read'),
    /** Which invoices keep a contact from being erased or purged (GDPR Art. 17(3)(b) and (e)). */
    retain: z.enum(['open_invoices', 'any_invoice']).default('open_invoices'),
    /** Years after the last due date that the law keeps an invoice; the review date of what is retained. */
    retentionYears: z.int().min(0).max(30).default(7),
  })
  .refine((settings) => settings.grant === 'client_credentials' || settings.tenantId !== undefined, {
    path: ['tenantId'],
    error: 'is needed unless grant is client_credentials',
  });

export type XeroSettings = z.infer<typeof settingsSchema>;
