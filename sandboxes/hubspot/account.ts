/** The rules of one HubSpot account for single contacts; what the endpoints have in common. */
import { isoOf } from '../kit/time.ts';
import type { Host } from '../kit/vendor.ts';
import { invalid } from './answers.ts';
import type { Problem } from './answers.ts';
import { builtIn, builtIns, LIFECYCLE_STAGES, stored, valueError } from './properties.ts';
import { emailsOf, State } from './state.ts';
import type { Contact, PropertyDefinition } from './state.ts';

const OPT_OUT = 'hs_email_optout';
const ALWAYS = ['createdate', 'hs_object_id', 'lastmodifieddate'];
const BY_DEFAULT = [...ALWAYS, 'email', 'firstname', 'lastname'];

/** Keys claimed by earlier inputs of the same batch: two of one kind are refused. */
export type Claims = Set<string>;

export class Account {
  state = new State();
  readonly host: Host;

  constructor(host: Host) {
    this.host = host;
  }

  get nowMs(): number {
    return this.host.now();
  }

  property(name: string): PropertyDefinition | undefined {
    return this.state.customProperties.get(name) ?? builtIn(name);
  }

  properties(): PropertyDefinition[] {
    return [...builtIns(), ...this.state.customProperties.values()];
  }

  /** Whether values of this property may stand for an id. */
  isUnique(name: string): boolean {
    return name === 'email' || this.property(name)?.hasUniqueValue === true;
  }

  /** Not archived. `idProperty` undefined or `hs_object_id` means the record id. */
  find(id: string, idProperty?: string): Contact | undefined {
    if (idProperty === 'email') return this.state.byEmail(id);
    if (idProperty !== undefined && idProperty !== 'hs_object_id') return this.state.byUnique(idProperty, id);
    const contact = this.state.get(id);
    return contact?.archivedAtMs === null ? contact : undefined;
  }

  /**
   * Why these values cannot be written to `target` (undefined: a new contact), or undefined.
   * @param claims grows by the keys that this write would take
   */
  problem(given: Record<string, unknown>, target: Contact | undefined, claims: Claims): Problem | undefined {
    const values = Object.entries(given).map(([name, value]) => [name, stored(name, value)] as const);
    const errors = values
      .map(([name, value]) => valueError(name, value, (one) => this.property(one)))
      .filter((error) => error !== undefined);
    if (errors.length > 0) {
      const list = errors.map((error) => ({
        isValid: false,
        message: error.message,
        error: error.code,
        name: error.context?.['propertyName']?.[0],
      }));
      return invalid(`Property values were not valid: ${JSON.stringify(list)}`, errors);
    }
    for (const [name, value] of values) {
      if (value === '' || !this.isUnique(name)) continue;
      const holder = this.find(value, name);
      if (holder !== undefined && holder !== target) return exists(name, value, holder.id);
      const claim = `${name}\n${value.toLowerCase()}`;
      if (claims.has(claim)) return exists(name, value, '0');
      claims.add(claim);
      if (name === 'email' && target?.properties['email'] !== value && this.state.blocklist.has(value)) {
        // HubSpot's wording is not published; that it refuses is.
        return invalid('Contact cannot be created: this email address was permanently deleted under GDPR', [
          {
            message: 'This email address is blocklisted',
            code: 'BLOCKLISTED_EMAIL',
            context: { propertyName: ['email'] },
          },
        ]);
      }
    }
    return undefined;
  }

  /** Writes values that `problem` found right. */
  create(given: Record<string, unknown>): Contact {
    const contact: Contact = {
      id: this.state.newId(),
      properties: { lifecyclestage: 'lead' },
      createdAtMs: this.nowMs,
      updatedAtMs: this.nowMs,
      archivedAtMs: null,
      mergedIds: [],
      before: { properties: null, sinceMs: this.nowMs },
    };
    this.#assign(contact, given);
    this.state.insert(contact);
    return contact;
  }

  update(contact: Contact, given: Record<string, unknown>): void {
    this.change(contact, () => this.#assign(contact, given));
  }

  archive(contact: Contact): void {
    this.change(contact, () => {
      contact.archivedAtMs = this.nowMs;
    });
  }

  change(contact: Contact, fn: () => void): void {
    this.state.change(contact, this.nowMs, this.host.settings.searchLagMs, fn);
  }

  /** Deletes for good and blocks its addresses. */
  erase(contact: Contact): void {
    for (const email of emailsOf(contact)) {
      this.state.blocklist.add(email);
      this.state.preferences.delete(email);
    }
    this.state.delete(contact);
    for (const id of [contact.id, ...contact.mergedIds]) {
      this.state.erased.add(id);
      this.state.aliases.delete(id);
    }
  }

  /** A property as it reads: computed ones included; null when never set. */
  value(contact: Contact, name: string): string | null {
    switch (name) {
      case 'createdate':
        return iso(contact.createdAtMs);
      case 'lastmodifieddate':
        return iso(contact.updatedAtMs);
      case 'hs_object_id':
        return contact.id;
      case 'hs_merged_object_ids':
        return contact.mergedIds.length === 0 ? null : contact.mergedIds.join(';');
      default: {
        const optOut = name.startsWith(OPT_OUT) ? /^hs_email_optout(?:_(\d+))?$/.exec(name) : null;
        if (optOut !== null) return this.#optOut(contact, optOut[1]);
        return contact.properties[name] ?? null;
      }
    }
  }

  /** The shape of SimplePublicObject. */
  view(contact: Contact, names: string[] = [], historyOf: string[] = []): Record<string, unknown> {
    const wanted = names.length === 0 ? BY_DEFAULT : [...ALWAYS, ...names];
    const properties: Record<string, string | null> = {};
    for (const name of wanted) if (this.property(name) !== undefined) properties[name] = this.value(contact, name);
    const history = historyOf.map((name) => {
      const entry = { value: this.value(contact, name) ?? '', timestamp: iso(contact.updatedAtMs), sourceType: 'API' };
      return [name, [entry]];
    });
    return {
      id: contact.id,
      properties,
      createdAt: iso(contact.createdAtMs),
      updatedAt: iso(contact.updatedAtMs),
      archived: contact.archivedAtMs !== null,
      ...(contact.archivedAtMs === null ? {} : { archivedAt: iso(contact.archivedAtMs) }),
      ...(historyOf.length === 0 ? {} : { propertiesWithHistory: Object.fromEntries(history) }),
    };
  }

  #optOut(contact: Contact, subscriptionId: string | undefined): string | null {
    const preferences = this.state.preferences.get(contact.properties['email'] ?? '');
    if (preferences === undefined) return null;
    const own = subscriptionId === undefined ? undefined : preferences.subscriptions.get(subscriptionId);
    return preferences.optedOutOfAll || own?.status === 'UNSUBSCRIBED' ? 'true' : null;
  }

  #assign(contact: Contact, given: Record<string, unknown>): void {
    for (const [name, raw] of Object.entries(given)) {
      const value = stored(name, raw);
      if (name === 'lifecyclestage' && this.#wouldGoBack(contact, value)) continue;
      contact.properties[name] = value;
    }
  }

  /** Documented: by API a stage goes forward only, unless it is cleared first. Answered as if done. */
  #wouldGoBack(contact: Contact, value: string): boolean {
    if (this.host.settings['lifecycleForwardOnly'] !== true || value === '') return false;
    const now = LIFECYCLE_STAGES.indexOf(contact.properties['lifecyclestage'] ?? '');
    return LIFECYCLE_STAGES.indexOf(value) < now;
  }
}

export function iso(ms: number): string {
  return isoOf(ms);
}

function exists(property: string, value: string, id: string): Problem {
  if (property === 'email') {
    return {
      status: 409,
      category: 'CONFLICT',
      message: `Contact already exists. Existing ID: ${id}`,
      context: { existingId: [id] },
    };
  }
  return invalid(`Property values were not valid: ${property} must be unique; ${value} is held by ${id}`, [
    {
      message: `A CONTACT with ${property} of that value already exists`,
      code: 'CONFLICTING_UNIQUE_VALUE',
      context: { propertyName: [property] },
    },
  ]);
}
