/** Communication preferences, v3 and v4. Both belong to the address, whether or not a contact has it. */
import { failsPartially } from '../kit/vendor.ts';
import type { Answer, VendorRequest } from '../kit/vendor.ts';
import { iso } from './account.ts';
import type { Account } from './account.ts';
import { batch, batchError, invalid, ok, refused } from './answers.ts';
import type { Problem } from './answers.ts';
import type { StatusState } from './state.ts';

interface Definition {
  id: string;
  name: string;
  description?: string;
}

interface Change {
  email: string;
  subscriptionId: string;
  state: StatusState;
  legalBasis?: string;
  legalBasisExplanation?: string;
}

const INPUTS_MAX = 100;
const LEGAL_BASES = [
  'LEGITIMATE_INTEREST_PQL',
  'LEGITIMATE_INTEREST_CLIENT',
  'PERFORMANCE_OF_CONTRACT',
  'CONSENT_WITH_NOTICE',
  'NON_GDPR',
  'PROCESS_AND_STORE',
  'LEGITIMATE_INTEREST_OTHER',
];

/** Undefined when the path is none of ours. `rest` is the path after `/communication-preferences/`. */
export function preferences(account: Account, request: VendorRequest, rest: string): Answer | undefined {
  const { method } = request;
  const body = (request.json ?? {}) as Record<string, unknown>;
  const status = /^v([34])\/(?:status\/email|statuses)\/([^/]+)$/.exec(rest);
  const email = status === null ? '' : decodeURIComponent(status[2]!);
  switch (`${method} ${status === null ? rest : `v${status[1]} status`}`) {
    case 'GET v3/definitions':
      return ok({ subscriptionDefinitions: definitions(account).map((one) => definitionView(one)) });
    case 'GET v4/definitions':
      return batch(
        definitions(account).map((one) => definitionView(one)),
        [],
      );
    case 'GET v3 status':
      return ok({
        recipient: email,
        subscriptionStatuses: definitions(account).map((one) => v3View(account, email, one)),
      });
    case 'POST v3/subscribe':
      return change(account, changeOf(body, 'emailAddress', 'SUBSCRIBED'), 'v3');
    case 'POST v3/unsubscribe':
      return change(account, changeOf(body, 'emailAddress', 'UNSUBSCRIBED'), 'v3');
    case 'GET v4 status':
      return batch(
        definitions(account).map((one) => v4View(account, email, one.id)),
        [],
      );
    case 'POST v4 status':
      return change(account, { ...changeOf(body, '', body['statusState'] as StatusState), email }, 'v4');
    case 'POST v4/statuses/batch/read':
      return batchRead(account, request, body['inputs']);
    case 'POST v4/statuses/batch/write':
      return batchWrite(account, request, body['inputs']);
    default:
      return undefined;
  }
}

function batchRead(account: Account, request: VendorRequest, inputs: unknown): Answer {
  if (!Array.isArray(inputs) || inputs.length > INPUTS_MAX)
    return refused(invalid(`inputs: 1 to ${INPUTS_MAX} addresses`));
  if (request.query.get('channel') !== 'EMAIL') return refused(invalid('channel is required'));
  const emails = inputs as string[];
  const results = emails
    .filter((_email, index) => !failsPartially(request, index))
    .map((email) => ({
      subscriberIdString: email,
      statuses: definitions(account).map((one) => v4View(account, email, one.id)),
    }));
  const errors = emails
    .filter((_email, index) => failsPartially(request, index))
    .map((email) => batchError(invalid('Could not read'), { subscriberIdString: [email] }));
  return { ...batch(results, errors), summary: `${emails.length} inputs` };
}

function batchWrite(account: Account, request: VendorRequest, inputs: unknown): Answer {
  if (!Array.isArray(inputs) || inputs.length > INPUTS_MAX)
    return refused(invalid(`inputs: 1 to ${INPUTS_MAX} changes`));
  const results: unknown[] = [];
  const errors = (inputs as Record<string, unknown>[]).flatMap((input, index) => {
    const wanted = changeOf(input, 'subscriberIdString', input['statusState'] as StatusState);
    const problem = failsPartially(request, index) ? invalid('Invalid input') : apply(account, wanted, 'v4');
    if (problem === undefined) {
      results.push(v4View(account, wanted.email, wanted.subscriptionId));
      return [];
    }
    const context = { subscriberIdString: [wanted.email], subscriptionId: [wanted.subscriptionId] };
    return [batchError(problem, context)];
  });
  const summary = `${inputs.length} inputs${errors.length > 0 ? `, ${errors.length} errors` : ''}`;
  return { ...batch(results, errors), effect: results.length > 0, summary };
}

function change(account: Account, wanted: Change, version: 'v3' | 'v4'): Answer {
  const problem = apply(account, wanted, version);
  if (problem !== undefined) return refused(problem);
  const one = definitions(account).find(({ id }) => id === wanted.subscriptionId)!;
  const more = { effect: true };
  if (version === 'v3') return ok(v3View(account, wanted.email, one), more);
  return { ...batch([v4View(account, wanted.email, one.id)], []), ...more };
}

/** Does it, or says why not. */
function apply(account: Account, wanted: Change, version: 'v3' | 'v4'): Problem | undefined {
  const { settings } = account.host;
  const { email, subscriptionId, state } = wanted;
  if (!/^[^\s@]+@[^\s@]+$/.test(email)) return invalid(`Email address ${email} is invalid`);
  if (!definitions(account).some(({ id }) => id === subscriptionId)) {
    return invalid(`Subscription ${subscriptionId} does not exist`);
  }
  if (!['SUBSCRIBED', 'UNSUBSCRIBED', 'NOT_SPECIFIED'].includes(state)) return invalid('statusState is not valid');
  const { legalBasis, legalBasisExplanation } = wanted;
  if (legalBasis !== undefined && !LEGAL_BASES.includes(legalBasis)) return invalid('legalBasis is not valid');
  if (state === 'SUBSCRIBED' && settings['gdprEnabled'] === true && !(legalBasis && legalBasisExplanation)) {
    return invalid('legalBasis and legalBasisExplanation are required in a GDPR enabled portal');
  }
  const held = account.state.preferencesOf(email);
  const now = held.subscriptions.get(subscriptionId);
  if (state !== 'UNSUBSCRIBED') {
    const withdrawn = held.optedOutOfAll || now?.status === 'UNSUBSCRIBED';
    const bySelf = held.optedOutOfAll || now?.self === true;
    // v3: never again by API. v4: documented to resubscribe; never what the person did, unless the setting says so.
    const resubscribes = version === 'v4' && (!bySelf || settings['v4Resubscribe'] === true);
    if (withdrawn && !resubscribes) {
      return invalid(`${email} cannot be updated because they have unsubscribed`);
    }
  }
  if (version === 'v3' && now?.status === state) {
    const done = state === 'SUBSCRIBED' ? 'subscribed to' : 'unsubscribed from';
    return invalid(`${email} is already ${done} subscription ${subscriptionId}`);
  }
  held.subscriptions.set(subscriptionId, {
    status: state,
    atMs: account.nowMs,
    self: false,
    ...(legalBasis === undefined ? {} : { legalBasis }),
    ...(legalBasisExplanation === undefined ? {} : { legalBasisExplanation }),
  });
  return undefined;
}

function changeOf(body: Record<string, unknown>, emailKey: string, state: StatusState): Change {
  const text = (key: string): string | undefined => (typeof body[key] === 'string' ? body[key] : undefined);
  const legalBasis = text('legalBasis');
  const legalBasisExplanation = text('legalBasisExplanation');
  return {
    email: text(emailKey) ?? '',
    subscriptionId: String((body['subscriptionId'] as string | number | undefined) ?? ''),
    state,
    ...(legalBasis === undefined ? {} : { legalBasis }),
    ...(legalBasisExplanation === undefined ? {} : { legalBasisExplanation }),
  };
}

function definitions(account: Account): Definition[] {
  return account.host.settings['subscriptions'] as Definition[];
}

function definitionView(definition: Definition): Record<string, unknown> {
  const at = '2024-01-15T09:00:00.000Z';
  const fixed = {
    isActive: true,
    isDefault: false,
    isInternal: false,
    communicationMethod: 'Email',
    purpose: 'Marketing',
  };
  return { description: '', ...definition, ...fixed, createdAt: at, updatedAt: at };
}

function v3View(account: Account, email: string, definition: Definition): Record<string, unknown> {
  const held = account.state.preferences.get(email.trim().toLowerCase());
  const one = held?.subscriptions.get(definition.id);
  const subscribed = one?.status === 'SUBSCRIBED' && held?.optedOutOfAll !== true;
  return {
    id: definition.id,
    name: definition.name,
    description: definition.description ?? '',
    status: subscribed ? 'SUBSCRIBED' : 'NOT_SUBSCRIBED',
    sourceOfStatus: held?.optedOutOfAll === true ? 'PORTAL_WIDE_STATUS' : 'SUBSCRIPTION_STATUS',
    preferenceGroupName: null,
    legalBasis: one?.legalBasis ?? null,
    legalBasisExplanation: one?.legalBasisExplanation ?? null,
  };
}

function v4View(account: Account, email: string, subscriptionId: string): Record<string, unknown> {
  const held = account.state.preferences.get(email.trim().toLowerCase());
  const one = held?.subscriptions.get(subscriptionId);
  const status = held?.optedOutOfAll === true ? 'UNSUBSCRIBED' : (one?.status ?? 'NOT_SPECIFIED');
  return {
    subscriberIdString: email,
    subscriptionId: Number(subscriptionId),
    subscriptionName: definitions(account).find(({ id }) => id === subscriptionId)?.name ?? '',
    channel: 'EMAIL',
    status,
    source: one === undefined && held?.optedOutOfAll !== true ? 'Default' : one?.self === false ? 'API' : 'Contact',
    timestamp: iso(one?.atMs ?? 0),
    legalBasis: one?.legalBasis ?? null,
    legalBasisExplanation: one?.legalBasisExplanation ?? null,
  };
}
