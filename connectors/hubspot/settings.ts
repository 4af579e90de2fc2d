/** Settings of a system with this connector. */
import { z } from 'zod';

export const settingsSchema = z.strictObject({
  /** How we sign in: by the token of a private app, or by OAuth with a refresh token. */
  grant: z.enum(['private_app', 'refresh_token']).default('private_app'),
  /** Our unique property at HubSpot; made by the first check. */
  reference: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,99}$/, { error: 'a property name of small letters, digits and _' })
    .default('plumbline_ref'),
  /** Sent with a subscription that an evidence permits. */
  legalBasis: z.string().default('CONSENT_WITH_NOTICE'),
});
