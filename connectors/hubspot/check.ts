/** Looks that the account is as the configuration says, and makes our reference property. */
import { ConnectorStop } from '../kit/connector.ts';
import type { Gate } from '../kit/connector.ts';
import { propertyNames } from './read.ts';
import { stoppedBy } from './records.ts';
import type { Session } from './records.ts';

export async function check(session: Session, gate: Gate): Promise<string[]> {
  const { mapped } = session;
  const names = await propertyNames(session, gate);
  const problems = mapped.targets
    .filter((target) => !names.includes(target))
    .map((target) => `HubSpot has no contact property '${target}'. Make it there, or take it out of the mapping.`);
  if (!names.includes(mapped.reference)) await makeReference(session, gate);
  if (mapped.consentTargets.length > 0) problems.push(...(await missingSubscriptions(session, gate)));
  return problems;
}

async function makeReference(session: Session, gate: Gate): Promise<void> {
  const called = await session.hubspot.call(
    gate,
    'properties.create',
    'write',
    (client) =>
      client.crm.properties.coreApi.createWithHttpInfo('contacts', {
        name: session.mapped.reference,
        label: 'Plumbline reference',
        description: 'Opaque id of the central record. Do not change.',
        groupName: 'contactinformation',
        type: 'string' as never,
        fieldType: 'text' as never,
        hasUniqueValue: true,
      }),
    () => true,
  );
  if (called.kind === 'ok') return;
  // Another worker may have made it meanwhile.
  if ((await propertyNames(session, gate)).includes(session.mapped.reference)) return;
  throw new ConnectorStop(stoppedBy(called).stopped);
}

async function missingSubscriptions(session: Session, gate: Gate): Promise<string[]> {
  const called = await session.hubspot.request(
    gate,
    'preferences.definitions',
    'read',
    { method: 'GET', path: '/communication-preferences/v4/definitions' },
    (data) => {
      const { results } = (typeof data === 'object' && data !== null ? data : {}) as { results?: { id?: unknown }[] };
      return Array.isArray(results) ? results.map((d) => String(d.id)) : undefined;
    },
  );
  if (called.kind !== 'ok') throw new ConnectorStop(stoppedBy(called).stopped);
  return session.mapped.consentTargets
    .filter((target) => !called.value.includes(target))
    .map((target) => `HubSpot has no subscription type '${target}'. Correct the consents of the system.`);
}
