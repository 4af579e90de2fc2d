/** The endpoints of single members and the bulk endpoint of an audience. */
import { failsPartially } from '../kit/vendor.ts';
import type { Answer, VendorRequest } from '../kit/vendor.ts';
import { CANNOT_ARCHIVE, hashOf, invalid, METHOD_NOT_ALLOWED, NOT_FOUND, ok, refused } from './answers.ts';
import type { Problem } from './answers.ts';
import type { Member, Status } from './state.ts';
import { memberView, trimmed } from './views.ts';
import { archive, create, forget, schemaErrors, update } from './writes.ts';
import type { Given, WriteContext } from './writes.ts';

const BATCH_MAX = 500;

export function oneMember(context: WriteContext, request: VendorRequest, id: string, action: string): Answer {
  const member = context.audience.find(id);
  switch (`${request.method} ${action}`) {
    case 'GET ':
      return member === undefined ? refused(NOT_FOUND) : ok(trimmed(view(context, member), request.query));
    case 'PUT ':
      return put(context, request, member, id);
    case 'PATCH ': {
      if (member === undefined) return refused(NOT_FOUND);
      const given = (request.json ?? {}) as Given;
      const errors = schemaErrors(given);
      return errors.length > 0 ? refused(invalid(errors)) : answer(context, update(context, member, given));
    }
    case 'DELETE ':
      if (member === undefined) return refused(NOT_FOUND);
      return archive(context, member) ? { status: 204, effect: true } : refused(CANNOT_ARCHIVE);
    case 'POST actions/delete-permanent': {
      // Documented for the hash alone, unlike the others.
      const named = member !== undefined && member.contactId !== id ? member : undefined;
      if (named === undefined) return refused(NOT_FOUND);
      forget(context, named);
      return { status: 204, effect: true };
    }
    case 'POST tags':
      return member === undefined ? refused(NOT_FOUND) : setTags(context, member, request);
    case 'GET tags': {
      if (member === undefined) return refused(NOT_FOUND);
      const tags = member.tags.map((name, index) => ({ id: index + 1, name, date_added: member.timestampOpt }));
      return ok({ tags, total_items: tags.length });
    }
    case 'GET notes':
      return member === undefined ? refused(NOT_FOUND) : ok({ notes: [], email_id: id, total_items: 0 });
    case 'GET activity-feed':
      return member === undefined ? refused(NOT_FOUND) : ok({ activity: [], email_id: id, total_items: 0 });
    default:
      return refused(METHOD_NOT_ALLOWED);
  }
}

/** `POST /lists/{id}/members` */
export function addMember(context: WriteContext, request: VendorRequest): Answer {
  const given = (request.json ?? {}) as Given;
  const errors = schemaErrors(given);
  if (errors.length > 0) return refused(invalid(errors));
  const email = String((given['email_address'] as string | undefined) ?? '').trim();
  if (context.audience.byEmail(email) !== undefined) return refused(memberExists(email));
  return answer(context, create(context, given, given['status'] as Status | undefined));
}

/** `POST /lists/{id}`: at most 500 members; 200 with one error per member that failed. */
export function addMany(context: WriteContext, request: VendorRequest): Answer {
  const body = (request.json ?? {}) as { members?: unknown; update_existing?: unknown; sync_tags?: unknown };
  if (!Array.isArray(body.members)) {
    return refused(invalid([{ field: 'members', message: 'This value should not be blank.' }]));
  }
  const members = body.members as Given[];
  if (members.length > BATCH_MAX) {
    return refused(invalid([{ field: 'members', message: `Schema describes array, maximum ${BATCH_MAX} items` }]));
  }
  const wrong = members.flatMap((given, index) => schemaErrors(given, `members.item:${index}.`));
  if (wrong.length > 0) return refused(invalid(wrong));

  const made: unknown[] = [];
  const updated: unknown[] = [];
  const errors: Record<string, string>[] = [];
  const seen = new Set<string>();
  const fail = (email: string, problem: Problem, code = 'ERROR_GENERIC'): void => {
    const [first] = problem.errors ?? [];
    const text =
      problem.errors === undefined || first === undefined ? problem.detail : `${first.field} : ${first.message}`;
    errors.push({
      email_address: email,
      error: text,
      error_code: code,
      field: first?.field ?? '',
      field_message: first?.message ?? '',
    });
  };
  let changes = 0;
  for (const [index, given] of members.entries()) {
    const email = String((given['email_address'] as string | undefined) ?? '').trim();
    if (failsPartially(request, index)) {
      fail(email, { status: 500, title: 'Internal Server Error', detail: 'An unknown error occurred.' });
      continue;
    }
    const skipDuplicates = request.query.get('skip_duplicate_check') === 'true';
    if (seen.has(hashOf(email))) {
      if (!skipDuplicates)
        fail(email, { status: 400, title: 'Duplicate', detail: 'Duplicate items found in this request.' });
      continue;
    }
    seen.add(hashOf(email));
    const held = context.audience.byEmail(email);
    if (held !== undefined && body.update_existing !== true) {
      fail(email, memberExists(email), 'ERROR_CONTACT_EXISTS');
      continue;
    }
    const status = (given['status'] ?? given['status_if_new']) as Status | undefined;
    const done = held === undefined ? create(context, given, status) : update(context, held, given);
    if ('problem' in done) {
      fail(email, done.problem);
      continue;
    }
    if (done.changed) changes += 1;
    (held === undefined ? made : updated).push(view(context, done.member));
  }
  const answered = {
    new_members: made,
    updated_members: updated,
    errors,
    total_created: made.length,
    total_updated: updated.length,
    error_count: errors.length,
    _links: [],
  };
  const summary = `${members.length} members, ${errors.length} errors`;
  return ok(answered, { effect: changes > 0, summary });
}

function put(context: WriteContext, request: VendorRequest, member: Member | undefined, id: string): Answer {
  const given = (request.json ?? {}) as Given;
  const errors = schemaErrors(given);
  if (member === undefined && given['status_if_new'] === undefined) {
    errors.push({ field: 'status_if_new', message: 'This value should not be blank.' });
  }
  if (errors.length > 0) return refused(invalid(errors));
  // Of a member that is there, archived included, `status_if_new` says nothing.
  if (member !== undefined) return answer(context, update(context, member, given));
  const email = typeof given['email_address'] === 'string' ? given['email_address'] : id;
  if (context.audience.byEmail(email) !== undefined) return refused(memberExists(email));
  const status = (given['status'] ?? given['status_if_new']) as Status;
  return answer(context, create(context, { ...given, email_address: email }, status));
}

function setTags(context: WriteContext, member: Member, request: VendorRequest): Answer {
  const { tags = [] } = (request.json ?? {}) as { tags?: { name: string; status: string }[] };
  context.audience.change(member, context.nowMs, () => {
    for (const { name, status } of tags) {
      member.tags = member.tags.filter((tag) => tag !== name);
      if (status === 'active') member.tags.push(name);
    }
  });
  return { status: 204, effect: true };
}

function answer(context: WriteContext, written: ReturnType<typeof update>): Answer {
  if ('problem' in written) return refused(written.problem);
  return ok(view(context, written.member), { effect: written.changed });
}

function view(context: WriteContext, member: Member): Record<string, unknown> {
  return memberView(context.audience, member, context.permissions);
}

function memberExists(email: string): Problem {
  const detail = `${email} is already a list member. Use PUT to insert or update list members.`;
  return { status: 400, title: 'Member Exists', detail };
}
