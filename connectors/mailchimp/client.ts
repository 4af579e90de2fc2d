/** The calls of Mailchimp's SDK that this connector makes. */
import { ConnectorStop } from '../kit/connector.ts';
import type { Gate } from '../kit/connector.ts';
import { asBulk, asDone, asMember, asMergeFields, asObject, asPage, textsIn } from './answers.ts';
import type { BulkAnswer, MemberPage, MergeFieldDefinition } from './answers.ts';
import { createCaller, ofList, outcomeOf } from './caller.ts';
import type { Answered, Call, Called, Caller, ClientSetup } from './caller.ts';
import { PAGE_SIZE, SECOND_MS } from './limits.ts';
import { MEMBER_FIELDS } from './member.ts';
import type { Member } from './member.ts';
import type { Sdk, SdkAnswer } from './transport.ts';

export interface PageQuery {
  /** Changed after this, milliseconds since 1970. */
  sinceMs?: number;
  beforeMs?: number;
  offset?: number;
  /** Latest change first; the oldest first otherwise. */
  newestFirst?: boolean;
  /** Archived members only; they are left out otherwise. */
  archived?: boolean;
}

type Fields = Record<string, unknown>;

/** `id` is a hash or a contact id, except where it says hash. */
export interface Client {
  member(id: string, gate: Gate): Promise<Called<Member>>;
  put(hash: string, body: Fields, gate: Gate): Promise<Called<Member>>;
  patch(id: string, body: Fields, gate: Gate, options?: { skipRequired?: boolean }): Promise<Called<Member>>;
  archive(id: string, gate: Gate): Promise<Called<null>>;
  /** For good: the address can never be imported again. */
  erase(hash: string, gate: Gate): Promise<Called<null>>;
  removeTags(id: string, names: string[], gate: Gate): Promise<Called<null>>;
  bulk(members: Fields[], updateExisting: boolean, gate: Gate): Promise<Answered<BulkAnswer>>;
  /** By time of last change. @throws ConnectorStop */
  page(query: PageQuery, gate: Gate): Promise<MemberPage>;
  /** Everything on one member; null when gone. @throws ConnectorStop */
  whole(id: string, gate: Gate): Promise<Record<string, unknown> | null>;
  /** False: the audience is not there. @throws ConnectorStop */
  hasList(gate: Gate): Promise<boolean>;
  /** @throws ConnectorStop */
  mergeFields(gate: Gate): Promise<MergeFieldDefinition[]>;
  addMergeField(tag: string, gate: Gate): Promise<Called<unknown>>;
  close(): void;
}

export function createClient(setup: ClientSetup): Client {
  const { list } = setup;
  const caller = createCaller(setup);
  const ofMember: Caller['ofMember'] = (call, gate) => caller.ofMember(call, gate);
  const validation = (skip = false): Fields =>
    skip || setup.skipMergeValidation ? { skip_merge_validation: true } : {};

  async function reading<T>(call: Call<T>, gate: Gate): Promise<T> {
    const result = ofList(await caller.called(call, gate));
    if (result.kind === 'ok') return result.value;
    throw new ConnectorStop(outcomeOf(result));
  }

  return {
    member: (id, gate) => {
      const run = (sdk: Sdk): Promise<SdkAnswer> =>
        sdk.lists.getListMemberWithHttpInfo(list, id, { fields: [...MEMBER_FIELDS] });
      return ofMember({ name: 'members.get', effect: 'read', run, read: asMember }, gate);
    },
    put: async (hash, body, gate) => {
      const run = (sdk: Sdk): Promise<SdkAnswer> => sdk.lists.setListMemberWithHttpInfo(list, hash, body, validation());
      const call: Call<Member> = { name: 'members.put', effect: 'write', run, read: asMember, sent: textsIn(body) };
      return ofList(await caller.called(call, gate));
    },
    patch: (id, body, gate, { skipRequired } = {}) => {
      const run = (sdk: Sdk): Promise<SdkAnswer> =>
        sdk.lists.updateListMemberWithHttpInfo(list, id, body, validation(skipRequired));
      return ofMember({ name: 'members.patch', effect: 'write', run, read: asMember, sent: textsIn(body) }, gate);
    },
    archive: (id, gate) => {
      const run = (sdk: Sdk): Promise<SdkAnswer> => sdk.lists.deleteListMemberWithHttpInfo(list, id);
      return ofMember({ name: 'members.archive', effect: 'write', run, read: asDone }, gate);
    },
    erase: (hash, gate) => {
      const run = (sdk: Sdk): Promise<SdkAnswer> => sdk.lists.deleteListMemberPermanentWithHttpInfo(list, hash);
      return ofMember({ name: 'members.delete_permanent', effect: 'write', run, read: asDone }, gate);
    },
    removeTags: (id, names, gate) => {
      const tags = names.map((name) => ({ name, status: 'inactive' }));
      const run = (sdk: Sdk): Promise<SdkAnswer> => sdk.lists.updateListMemberTagsWithHttpInfo(list, id, { tags });
      return ofMember({ name: 'members.tags', effect: 'write', run, read: asDone, sent: names }, gate);
    },
    bulk: async (members, updateExisting, gate) => {
      const body = { members, update_existing: updateExisting };
      const run = (sdk: Sdk): Promise<SdkAnswer> => sdk.lists.batchListMembersWithHttpInfo(list, body, validation());
      const call: Call<BulkAnswer> = { name: 'members.bulk', effect: 'write', run, read: asBulk, sent: textsIn(body) };
      const result = await caller.called(call, gate);
      return result.kind === 'refused_whole' ? result : ofList(result);
    },
    page: (query, gate) => {
      const run = (sdk: Sdk): Promise<SdkAnswer> => sdk.lists.getListMembersInfoWithHttpInfo(list, pageOptions(query));
      return reading({ name: 'members.list', effect: 'read', run, read: asPage }, gate);
    },
    whole: async (id, gate) => {
      const options = { exclude_fields: ['_links'] };
      const paged = { ...options, count: PAGE_SIZE };
      const parts: Record<string, Call<Fields>['run']> = {
        member: (sdk) => sdk.lists.getListMemberWithHttpInfo(list, id, options),
        activity: (sdk) => sdk.lists.getListMemberActivityFeedWithHttpInfo(list, id, paged),
        notes: (sdk) => sdk.lists.getListMemberNotesWithHttpInfo(list, id, paged),
      };
      const all: Fields = {};
      for (const [name, run] of Object.entries(parts)) {
        const result = await ofMember({ name: `members.${name}`, effect: 'read', run, read: asObject }, gate);
        if (result.kind === 'not_found') return null;
        if (result.kind === 'outcome') throw new ConnectorStop(result.outcome);
        all[name] = result.value;
      }
      return all;
    },
    hasList: (gate) => caller.hasList(gate),
    mergeFields: (gate) => {
      const run = (sdk: Sdk): Promise<SdkAnswer> =>
        sdk.lists.getListMergeFieldsWithHttpInfo(list, { count: PAGE_SIZE });
      return reading({ name: 'lists.merge_fields', effect: 'read', run, read: asMergeFields }, gate);
    },
    addMergeField: async (tag, gate) => {
      const body = { tag, name: 'Plumbline reference', type: 'text', required: false, public: false };
      const run = (sdk: Sdk): Promise<SdkAnswer> => sdk.lists.addListMergeFieldWithHttpInfo(list, body);
      return ofList(await caller.called({ name: 'lists.add_merge_field', effect: 'write', run, read: asObject }, gate));
    },
    close: () => caller.close(),
  };
}

function pageOptions({ sinceMs, beforeMs, offset, newestFirst, archived }: PageQuery): Fields {
  return {
    count: PAGE_SIZE,
    sort_field: 'last_changed',
    sort_dir: newestFirst === true ? 'DESC' : 'ASC',
    fields: [...MEMBER_FIELDS.map((field) => `members.${field}`), 'total_items'],
    ...(sinceMs === undefined ? {} : { since_last_changed: seconds(sinceMs) }),
    ...(beforeMs === undefined ? {} : { before_last_changed: seconds(beforeMs) }),
    ...(offset === undefined || offset === 0 ? {} : { offset }),
    ...(archived === true ? { status: 'archived' } : {}),
  };
}

/** `2026-03-01T10:00:00+00:00`, the form of Mailchimp's own documentation. */
function seconds(ms: number): string {
  return `${new Date(Math.floor(ms / SECOND_MS) * SECOND_MS).toISOString().slice(0, 19)}+00:00`;
}
