/** Settings of a system with this connector. */
import { z } from 'zod';

export const settingsSchema = z.strictObject({
  /** Id of the audience (`List ID` in Mailchimp's audience settings). */
  list: z.string().regex(/^[\w-]{1,40}$/, 'an audience id has letters, digits, - and _ only'),
  /** Data centre, e.g. `us1`; taken from the end of the API key where absent. */
  server: z
    .string()
    .regex(/^[a-z]{2,3}\d{1,3}$/, 'a data centre is named like us1')
    .optional(),
  /** Tag of the text merge field that carries our reference; created when missing. */
  reference: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]{0,9}$/, 'a merge tag has at most 10 capital letters and digits')
    .default('PLUMBREF'),
  /** Accepts members who lack merge fields that the audience requires. */
  skipMergeValidation: z.boolean().default(false),
});

export type MailchimpSettings = z.infer<typeof settingsSchema>;
