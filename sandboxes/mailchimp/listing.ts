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

  const reversed = query.get('sort_dir')?.toUpperCase() === 'DESC';
  const key = JSON.stringify([sort, reversed, since, before, statuses, uniqueId]);
  const found = foundOnce(audience, key, () => {
    const inOrder =
      sort === 'last_changed' || since !== undefined
        ? audience.changedBetween(since ?? -1, before ?? Infinity)
        : audience.all();
    const all = [...inOrder].filter(matches);
    if (sort === 'timestamp_opt') all.sort((a, b) => a.timestampOpt.localeCompare(b.timestampOpt));
    if (sort === 'timestamp_signup') all.sort((a, b) => a.timestampSignup.localeCompare(b.timestampSignup));
    return reversed ? all.reverse() : all;
  });
  const total = found.length;
  const page = found.slice(offset, offset + count);
  const members = page.map((member) => memberView(audience, member, permissions));
  const body = { members, list_id: audience.id, total_items: total, _links: [] };
  return ok(trimmed(body, query), { summary: `${members.length} of ${total}` });
}

interface Found {
  key: string;
  version: number;
  members: Member[];
}
const last = new WeakMap<Audience, Found>();

/** While nothing changes, the pages of one listing share one search: a million members would be gone through for each page. */
function foundOnce(audience: Audience, key: string, find: () => Member[]): Member[] {
  const { version } = audience;
  let found = last.get(audience);
  if (found?.key !== key || found.version !== version) last.set(audience, (found = { key, version, members: find() }));
  return found.members;
}

function moment(text: string | null): number | undefined {
  if (text === null || text === '') return undefined;
  // A '+' of a zone that was not escaped arrives as a space.
  const ms = Date.parse(text.replace(/ (\d\d:?\d\d)$/, '+$1'));
  return Number.isNaN(ms) ? undefined : ms;
}
