/** The JSON Schema of `plumbline.yaml`, for editors that complete and check while one types. */
import { z } from 'zod';
import { sections, systemSchema } from './schema.ts';

/**
 * JSON Schema draft 2020-12 of the whole file. What only the programme can know (names that must exist, a connector's own settings) is not in
 * it: `plumbline config check` says the rest.
 */
export function configJsonSchema(): Record<string, unknown> {
  const file = z.strictObject({ ...sections, systems: z.record(z.string(), systemSchema).prefault({}) });
  return {
    ...z.toJSONSchema(file, { target: 'draft-2020-12', io: 'input', unrepresentable: 'any' }),
    $id: 'urn:plumbline:config',
    title: 'plumbline.yaml',
  };
}
