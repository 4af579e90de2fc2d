/** Many contacts in one request, as upserts: by reference, else by address and name. One bad row never decides for the others. */
import { z } from 'zod';
import { sentenceFor } from '../../domain/data-faults.ts';
import { rowIdentity } from '../../domain/csv-row.ts';
import { UPSERT_BATCH, upsertContacts } from '../../store/upsert.ts';
import type { UpsertResult, UpsertRow } from '../../store/upsert.ts';
import { faultsOf, readContactFields } from '../contact-input.ts';
import type { Api, ApiConfig, DoorDeps } from '../deps.ts';
import type { FieldFault } from '../errors.ts';
import { zodFaults } from '../problem-handler.ts';
import { about, contactId, fault, writeProblems } from '../schemas/common.ts';
import { ContactFields } from '../schemas/contact.ts';
import { acceptedContacts } from '../tracing.ts';

export const BULK_BODY_LIMIT = 8 * 1024 * 1024;

/** Taken loosely here and judged one by one below, so that a wrong row is a result and not the end of the request. */
const Row = z
  .record(z.string(), z.unknown())
  .meta({ allOf: [{ $ref: '#/components/schemas/ContactFieldsInput' }], description: 'Fields of one contact' });

const RowResult = z
  .object({
    row: z.int().describe('Place in the request, from 0'),
    result: z
      .enum(['created', 'updated', 'unchanged', 'suppressed', 'ambiguous', 'rejected'])
      .describe(
        'suppressed: the person was erased; ambiguous: several contacts hold the address, and the row does not say which; rejected: see faults',
      ),
    id: contactId.nullable(),
    alias: z.boolean().describe('True where the reference was kept as a second one of a known person'),
    faults: z.array(fault).optional(),
  })
  .meta({ id: 'BulkRowResult' });
type RowResultOut = z.output<typeof RowResult>;

export function addBulkRoutes(app: Api, deps: DoorDeps): void {
  const { keyring, config, once } = deps;
  app.post(
    '/v1/contacts/bulk',
    {
      bodyLimit: BULK_BODY_LIMIT,
      schema: {
        ...about(
          'contacts',
          `Create or change up to ${UPSERT_BATCH} contacts`,
          'A row finds its contact by externalRef, else by its first address and name; the same rows sent again write nothing. All good rows commit together.',
        ),
        body: z.strictObject({ rows: z.array(Row).min(1).max(UPSERT_BATCH) }),
        response: {
          200: z.object({ results: z.array(RowResult), counts: z.record(z.string(), z.int()) }),
          ...writeProblems(),
        },
      },
    },
    async (request, reply) => {
      const judged = request.body.rows.map((row) => judge(row, config));
      // The receipt has what became of each row, null for a rejected one; its faults follow from the request.
      const written = await once.write<(UpsertResult | null)[], (UpsertResult | null)[]>(
        request,
        reply,
        async (tx) => {
          const good = judged.filter((j) => j.ok).map((j) => j.row);
          const upserted = (await upsertContacts(tx, keyring, good)).values();
          const all = judged.map((j) => (j.ok ? (upserted.next().value ?? null) : null));
          return { receipt: all, value: all };
        },
        async (receipt) => Promise.resolve(receipt),
      );
      const changed = written.flatMap((w) => (w?.result === 'created' || w?.result === 'updated' ? [w.id] : []));
      await acceptedContacts(deps, request, changed);
      const results = judged.map((judgement, row): RowResultOut => {
        const upserted = written[row] ?? null;
        return upserted === null
          ? { row, result: 'rejected', id: null, alias: false, faults: judgement.ok ? [] : judgement.faults }
          : resultOf(row, upserted);
      });
      const counts: Record<string, number> = {};
      for (const { result } of results) counts[result] = (counts[result] ?? 0) + 1;
      return { results, counts };
    },
  );
}

type Judgement = { ok: true; row: UpsertRow } | { ok: false; faults: FieldFault[] };

function judge(row: Record<string, unknown>, config: ApiConfig): Judgement {
  const form = ContactFields.safeParse(row);
  if (!form.success) return { ok: false, faults: zodFaults(form.error) };
  const read = readContactFields(form.data, config);
  if (!read.ok) return { ok: false, faults: faultsOf(read.faults) };
  const identity = rowIdentity(read.data);
  if (identity.ref === null && identity.addressKey === null) {
    return { ok: false, faults: [{ in: 'body', path: '', expected: sentenceFor('no_identity'), code: 'no_identity' }] };
  }
  return { ok: true, row: { data: read.data, consents: [], identity } };
}

function resultOf(row: number, upserted: UpsertResult): RowResultOut {
  switch (upserted.result) {
    case 'created':
    case 'updated':
    case 'unchanged':
      return { row, result: upserted.result, id: upserted.id, alias: upserted.alias };
    case 'suppressed':
    case 'ambiguous':
      return { row, result: upserted.result, id: null, alias: false };
    case 'nobody':
      return { row, result: 'rejected', id: null, alias: false };
  }
}
