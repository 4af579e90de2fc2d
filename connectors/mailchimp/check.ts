/** Is the audience as the configuration says? Creates what is ours to create: the reference field. */
import { ConnectorStop } from '../kit/connector.ts';
import type { Gate } from '../kit/connector.ts';
import { outcomeOf } from './caller.ts';
import type { Session } from './session.ts';
import type { MailchimpSettings } from './settings.ts';

/** Sentences for an operator; empty when all is well. @throws ConnectorStop */
export async function check(session: Session, settings: MailchimpSettings, gate: Gate): Promise<string[]> {
  const { client, mapped } = session;
  const problems: string[] = [];
  if (mapped.consentTargets.length > 1) {
    problems.push(
      `An audience has one status: map one purpose to it, not ${mapped.consentTargets.length}. The strictest of them is stated now.`,
    );
  }
  if (!(await client.hasList(gate))) {
    return [...problems, `There is no audience '${settings.list}' in this account, or the key may not see it.`];
  }
  const fields = await client.mergeFields(gate);
  const known = new Map(fields.map((field) => [field.tag, field]));
  const tags = new Set(mapped.targets.filter((target) => target !== 'language').map((target) => target.split('.')[0]!));
  for (const tag of tags) {
    const field = known.get(tag);
    if (field === undefined) {
      problems.push(`The audience has no merge field '${tag}'. Mailchimp would ignore it without a word.`);
      continue;
    }
    const isComposed = mapped.targets.some((target) => target.startsWith(`${tag}.`));
    if (isComposed && field.type !== 'address') problems.push(`The merge field '${tag}' is no postal address.`);
    if (!isComposed && field.type === 'address') {
      problems.push(`The merge field '${tag}' is a postal address: map its parts, e.g. '${tag}.addr1'.`);
    }
  }
  for (const field of fields) {
    if (!field.required || tags.has(field.tag) || settings.skipMergeValidation) continue;
    problems.push(
      `The audience requires the merge field '${field.tag}', which is not mapped: new members would be refused. Map it, or set skipMergeValidation.`,
    );
  }
  const reference = known.get(settings.reference);
  if (reference === undefined) {
    const made = await client.addMergeField(settings.reference, gate);
    if (made.kind !== 'ok') throw new ConnectorStop(outcomeOf(made));
  } else if (reference.type !== 'text') {
    problems.push(`The merge field '${settings.reference}', which is to carry our reference, is not a text field.`);
  }
  return problems;
}
