/** `GET /lists/{id}/members`: offsets into what is there at the moment of the call, so that pages shift under changes. */
import { invalid, ok, refused } from './answers.ts';
import type { Answer, VendorRequest } from '../kit/vendor.ts';
import type { Audience, Member } from './state.ts';
import { memberView, trimmed } from './views.ts';
import type { Permission } from './writes.ts';

const COUNT_MAX = 1000;
const SORTS = ['last_changed', 'timestamp_opt', 'timestamp_signup'];

export function listMembers(audience: Audience, permissions: Permission[], request: VendorRequest): Answer {
  const { query } = request;
  const count = Number(query.get('count') ?? 10);
  const offset = Number(query.get('offset') ?? 0);
  if (!(count >= 0 && count <= COUNT_MAX)) {
    return refused(invalid([{ field: 'count', message: `Schema describes number, maximum ${COUNT_MAX}` }]));
  }
  const sort = query.get('sort_field');
  if (sort !== null && !SORTS.includes(sort)) {
    return refused(invalid([{ field: 'sort_field', message: `Data presented is not one of: ${SORTS.join(', ')}.` }]));
  }
  const since = moment(query.get('since_last_changed'));
  const before = moment(query.get('before_last_changed'));
  const statuses = query.getAll('status');
  const uniqueId = query.get('unique_email_id');

  const matches = (member: Member): boolean =>
    (statuses.length > 0 ? statuses.includes(member.status) : member.status !== 'archived') &&
    (before === undefined || member.lastChangedMs < before) &&
    (since === undefined || member.lastChangedMs > since) &&
    (uniqueId === null || memberView(audience, member, [])['unique_email_id'] === uniqueId);

  const inOrder = sort === 'last_changed' || since !== undefined ? audience.changedAfter(since ?? -1) : audience.all();
  const page: Member[] = [];
  let total = 0;
  const reversed = query.get('sort_dir')?.toUpperCase() === 'DESC';
  if (reversed || (sort !== null && sort !== 'last_changed')) {
    const found = [...inOrder].filter(matches);
    if (sort === 'timestamp_opt') found.sort((a, b) => a.timestampOpt.localeCompare(b.timestampOpt));
    if (sort === 'timestamp_signup') found.sort((a, b) => a.timestampSignup.localeCompare(b.timestampSignup));
    if (reversed) found.reverse();
    total = found.length;
    page.push(...found.slice(offset, offset + count));
  } else {
    for (const member of inOrder) {
      if (!matches(member)) continue;
      if (total >= offset && page.length < count) page.push(member);
      total += 1;
    }
  }
  const members = page.map((member) => memberView(audience, member, permissions));
  const body = { members, list_id: audience.id, total_items: total, _links: [] };
  return ok(trimmed(body, query), { summary: `${members.length} of ${total}` });
}

function moment(text: string | null): number | undefined {
  if (text === null || text === '') return undefined;
  // A '+' of a zone that was not escaped arrives as a space.
  const ms = Date.parse(text.replace(/ (\d\d:?\d\d)$/, '+$1'));
  return Number.isNaN(ms) ? undefined : ms;
}
