/**
 * `/crm/v3/objects/contacts/batch/*`, at most 100 inputs.
 *
 * What HubSpot does with a bad input differs: a missing id costs only that input (207), a bad value or a taken address refuses the
 * whole batch (400, 409) without saying which input it was, except where every input carries an `objectWriteTraceId` and the endpoint
 * knows it (documented for create; setting `multiStatus` adds others).
 */
import { failsPartially } from '../kit/vendor.ts';
import type { Answer, VendorRequest } from '../kit/vendor.ts';
import type { Account } from './account.ts';
import { batch, batchError, invalid, refused } from './answers.ts';
import type { BatchError, Problem } from './answers.ts';
import type { Contact } from './state.ts';

const INPUTS_MAX = 100;

interface Input {
  id?: string;
  idProperty?: string;
  objectWriteTraceId?: string;
  properties?: Record<string, unknown>;
}

/** What is to be done with an input once the whole batch is known to be acceptable. */
type Plan =
  | { input: Input; target: Contact | undefined }
  | { input: Input; problem: Problem }
  | { input: Input; missing: true };

export function read(account: Account, request: VendorRequest): Answer {
  const body = (request.json ?? {}) as { properties?: string[]; propertiesWithHistory?: string[]; idProperty?: string };
  const inputs = inputsOf(request);
  if (!Array.isArray(inputs)) return inputs;
  const property = body.idProperty;
  if (property !== undefined && property !== 'hs_object_id' && !account.isUnique(property)) return notUnique();
  const archived = request.query.get('archived') === 'true';
  const found = new Set<Contact>();
  const missing: string[] = [];
  inputs.forEach((input, index) => {
    const id = String(input.id ?? '');
    let contact = failsPartially(request, index) ? undefined : account.find(id, property);
    if (archived) {
      const record = property === undefined ? account.state.get(id) : undefined;
      contact = record?.archivedAtMs === null ? undefined : record;
    }
    if (contact === undefined) missing.push(id);
    else found.add(contact);
  });
  const results = [...found].map((contact) => account.view(contact, body.properties, body.propertiesWithHistory));
  return sum(inputs, batch(results, missingErrors(missing)), false);
}

export function create(account: Account, request: VendorRequest): Answer {
  const inputs = inputsOf(request);
  if (!Array.isArray(inputs)) return inputs;
  const claims = new Set<string>();
  const plans = inputs.map((input): Plan => {
    const problem = account.problem(input.properties ?? {}, undefined, claims);
    return problem === undefined ? { input, target: undefined } : { input, problem };
  });
  return carryOut(account, request, 'create', plans);
}

export function update(account: Account, request: VendorRequest): Answer {
  const inputs = inputsOf(request);
  if (!Array.isArray(inputs)) return inputs;
  // Reported: an address is no key here, only for upserts.
  const wrong = inputs.some(
    ({ idProperty }) => idProperty === 'email' || (idProperty && !account.isUnique(idProperty)),
  );
  if (wrong) return notUnique();
  const duplicate = duplicates(inputs);
  if (duplicate !== undefined) return refused(duplicate);
  const claims = new Set<string>();
  const plans = inputs.map((input): Plan => {
    const target = account.find(String(input.id ?? ''), input.idProperty);
    if (target === undefined) return { input, missing: true };
    const problem = account.problem(input.properties ?? {}, target, claims);
    return problem === undefined ? { input, target } : { input, problem };
  });
  return carryOut(account, request, 'update', plans);
}

export function upsert(account: Account, request: VendorRequest): Answer {
  const inputs = inputsOf(request);
  if (!Array.isArray(inputs)) return inputs;
  const properties = new Set(inputs.map(({ idProperty }) => idProperty));
  if (properties.size > 1) return refused(invalid('All inputs must have the same idProperty'));
  const [property] = properties;
  if (property !== undefined && property !== 'hs_object_id' && !account.isUnique(property)) return notUnique();
  const duplicate = duplicates(inputs);
  if (duplicate !== undefined) return refused(duplicate);
  const claims = new Set<string>();
  const plans = inputs.map((input): Plan => {
    const target = account.find(String(input.id ?? ''), property);
    if (target === undefined && (property === undefined || property === 'hs_object_id'))
      return { input, missing: true };
    const problem = account.problem(withKey(input), target, claims);
    return problem === undefined ? { input, target } : { input, problem };
  });
  return carryOut(account, request, 'upsert', plans);
}

export function archive(account: Account, request: VendorRequest): Answer {
  const inputs = inputsOf(request);
  if (!Array.isArray(inputs)) return inputs;
  const found = inputs.map((input) => account.find(String(input.id ?? ''))).filter((contact) => contact !== undefined);
  for (const contact of new Set(found)) account.archive(contact);
  return { status: 204, effect: found.length > 0, summary: `${inputs.length} inputs` };
}

function carryOut(
  account: Account,
  request: VendorRequest,
  verb: 'create' | 'update' | 'upsert',
  plans: Plan[],
): Answer {
  const inputs = plans.map(({ input }) => input);
  const scripted = plans.map((plan, index): Plan => {
    if (!failsPartially(request, index)) return plan;
    const { message, category, code }: Record<string, unknown> = request.partial ?? {};
    const text = typeof message === 'string' ? message : 'Invalid input';
    const problem = invalid(text, typeof code === 'string' ? [{ message: text, code }] : undefined);
    if (typeof category === 'string') problem.category = category as Problem['category'];
    // A scripted failure costs only its own input, whatever the rules would say.
    return { input: plan.input, problem: { ...problem, status: 207 } };
  });

  const knowsTraces = (account.host.settings['multiStatus'] as string[]).includes(verb);
  const traced = knowsTraces && inputs.every(({ objectWriteTraceId }) => objectWriteTraceId !== undefined);
  const problems = scripted.flatMap((plan) => ('problem' in plan && plan.problem.status !== 207 ? [plan.problem] : []));
  const [first] = problems;
  if (first !== undefined && !traced) {
    const errors = problems.filter(({ status }) => status === first.status).flatMap((problem) => problem.errors ?? []);
    return refused(
      { ...first, ...(errors.length === 0 ? {} : { errors }) },
      { summary: `${inputs.length} inputs refused` },
    );
  }

  const results: unknown[] = [];
  const errors: BatchError[] = [];
  const missing: string[] = [];
  for (const plan of scripted) {
    const { input } = plan;
    if ('missing' in plan) missing.push(String(input.id ?? ''));
    else if ('problem' in plan) errors.push(batchError(plan.problem, contextOf(input)));
    else results.push(write(account, verb, input, plan.target));
  }
  errors.push(...missingErrors(missing));
  const answer = batch(results, errors, verb === 'create' ? 201 : 200);
  return sum(inputs, answer, results.length > 0);
}

function write(account: Account, verb: string, input: Input, target: Contact | undefined): Record<string, unknown> {
  const properties = verb === 'upsert' ? withKey(input) : (input.properties ?? {});
  const contact = target ?? account.create(properties);
  if (target !== undefined) account.update(target, properties);
  return {
    ...account.view(contact, [...Object.keys(properties), 'email']),
    ...(input.objectWriteTraceId === undefined ? {} : { objectWriteTraceId: input.objectWriteTraceId }),
    ...(verb === 'upsert' ? { new: target === undefined } : {}),
  };
}

/** The properties of an upsert with its key among them. */
function withKey(input: Input): Record<string, unknown> {
  if (input.idProperty === undefined || input.idProperty === 'hs_object_id') return input.properties ?? {};
  return { [input.idProperty]: input.id, ...input.properties };
}

function contextOf({ id, objectWriteTraceId }: Input): Record<string, string[]> {
  return {
    ...(id === undefined ? {} : { ids: [id] }),
    ...(objectWriteTraceId === undefined ? {} : { objectWriteTraceId: [objectWriteTraceId] }),
  };
}

/** One error for all ids that are not there, as HubSpot gives it. */
function missingErrors(ids: string[]): BatchError[] {
  if (ids.length === 0) return [];
  const message = 'Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid.';
  return [batchError({ status: 404, category: 'OBJECT_NOT_FOUND', message }, { ids })];
}

function inputsOf(request: VendorRequest): Input[] | Answer {
  const inputs = (request.json as { inputs?: unknown } | undefined)?.inputs;
  if (!Array.isArray(inputs) || inputs.length === 0) return refused(invalid('inputs is required'));
  if (inputs.length > INPUTS_MAX)
    return refused(invalid(`The maximum batch size is ${INPUTS_MAX}, got ${inputs.length}`));
  return inputs as Input[];
}

function duplicates(inputs: Input[]): Problem | undefined {
  const ids = inputs.map(({ id }) => String(id ?? '').toLowerCase());
  if (new Set(ids).size === ids.length) return undefined;
  const twice = [...new Set(ids.filter((id, index) => ids.indexOf(id) !== index))];
  const problem = invalid(`Duplicate IDs found in batch input: [${twice.join(', ')}]. IDs must be unique`);
  return { ...problem, context: { ids: twice } };
}

function notUnique(): Answer {
  return refused(invalid('Unable to perform update/upsert by non-unique 0-1 property'));
}

function sum(inputs: Input[], answer: Answer, effect: boolean): Answer {
  const { numErrors = 0 } = answer.body as { numErrors?: number };
  const summary = `${inputs.length} inputs${numErrors > 0 ? `, ${numErrors} errors` : ''}`;
  return { ...answer, effect, summary };
}
