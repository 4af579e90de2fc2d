/** HubSpot's own contact properties (those a customer is likely to map) and the rules for values. */
import type { ErrorDetail } from './answers.ts';
import type { PropertyDefinition } from './state.ts';

/** In HubSpot's order: the API moves a contact forward only. */
export const LIFECYCLE_STAGES = [
  'subscriber',
  'lead',
  'marketingqualifiedlead',
  'salesqualifiedlead',
  'opportunity',
  'customer',
  'evangelist',
  'other',
];

const LEGAL_BASES = [
  'Legitimate interest – prospect/lead',
  'Legitimate interest – existing customer',
  'Legitimate interest - other',
  'Performance of a contract',
  'Freely given consent from contact',
  'Not applicable',
];

const LANGUAGES =
  'af ar bg ca cs da de de-at de-ch de-de el en en-au en-ca en-gb en-ie en-nz en-us es es-es es-mx et fi fr fr-be fr-ca ' +
  'fr-ch fr-fr he hi hr hu id is it it-ch it-it ja ja-jp ko lt lv ms nb nl nl-be nl-nl no pl pt pt-br pt-pt ro ru sk sl sr ' +
  'sv th tr uk vi zh zh-cn zh-hk zh-tw';

const TEXTS =
  'firstname lastname phone mobilephone fax company jobtitle website address city state zip country salutation industry ' +
  'message hs_persona twitterhandle';
const READ_ONLY =
  'createdate lastmodifieddate hs_object_id hs_additional_emails hs_merged_object_ids hs_email_optout hs_email_bounce';

function define(name: string, type: string, fieldType: string, options: string[] = [], readOnly = false) {
  return {
    name,
    label: name,
    type,
    fieldType,
    groupName: 'contactinformation',
    description: '',
    options: options.map((value, displayOrder) => ({ label: value, value, displayOrder, hidden: false })),
    hasUniqueValue: false,
    readOnly,
    hubspotDefined: true,
  } satisfies PropertyDefinition;
}

const BUILT_IN = new Map<string, PropertyDefinition>(
  [
    define('email', 'string', 'text'),
    ...TEXTS.split(' ').map((name) => define(name, 'string', 'text')),
    ...READ_ONLY.split(' ').map((name) => define(name, 'string', 'text', [], true)),
    define('lifecyclestage', 'enumeration', 'radio', LIFECYCLE_STAGES),
    define('hs_legal_basis', 'enumeration', 'checkbox', LEGAL_BASES),
    define('hs_lead_status', 'enumeration', 'radio', ['NEW', 'OPEN', 'IN_PROGRESS', 'UNQUALIFIED', 'CONNECTED']),
    define('hs_language', 'enumeration', 'select', LANGUAGES.split(' ')),
    define('closedate', 'datetime', 'date'),
    define('date_of_birth', 'string', 'text'),
    define('numemployees', 'number', 'number'),
  ].map((property) => [property.name, property]),
);

export function builtIn(name: string): PropertyDefinition | undefined {
  // One opt-out property per subscription, written by HubSpot only.
  const known = BUILT_IN.get(name);
  if (known === undefined && /^hs_email_optout_\d+$/.test(name))
    return define(name, 'enumeration', 'booleancheckbox', ['true', 'false'], true);
  return known;
}

export function builtIns(): PropertyDefinition[] {
  return [...BUILT_IN.values()];
}

/** As HubSpot stores it: text, trimmed; addresses in lower case. */
export function stored(name: string, value: unknown): string {
  const text = value === null || value === undefined ? '' : String(value as string).trim();
  return name === 'email' ? text.toLowerCase() : text;
}

/** What is wrong with a value, or undefined. The empty string clears a property and is always right. */
export function valueError(
  name: string,
  value: string,
  find: (name: string) => PropertyDefinition | undefined,
): ErrorDetail | undefined {
  const property = find(name);
  const error = (code: string, message: string): ErrorDetail => ({
    message,
    code,
    context: { propertyName: [name] },
  });
  if (property === undefined) return error('PROPERTY_DOESNT_EXIST', `Property "${name}" does not exist`);
  if (property.readOnly) return error('READ_ONLY_VALUE', `"${name}" is a read only property; its value cannot be set.`);
  if (value === '') return undefined;
  if (value.length > 65_536) return error('VALUE_TOO_LONG', `${name} is longer than 65536 characters`);
  if (name === 'email' && !/^[^\s@"<>(),:;[\]\\]+@[^\s@.]+(\.[^\s@.]+)*\.[\p{L}\p{N}-]{2,}$/u.test(value)) {
    return error('INVALID_EMAIL', `Email address ${value} is invalid`);
  }
  switch (property.type) {
    case 'enumeration':
    case 'bool': {
      const allowed = property.type === 'bool' ? ['true', 'false'] : property.options.map((option) => option.value);
      const given = property.fieldType === 'checkbox' ? value.split(';') : [value];
      const wrong = given.find((one) => one !== '' && !allowed.includes(one));
      if (wrong === undefined) return undefined;
      return error('INVALID_OPTION', `${wrong} was not one of the allowed options: [${allowed.join(', ')}]`);
    }
    case 'number':
      return Number.isFinite(Number(value)) ? undefined : error('INVALID_NUMBER', `${value} was not a valid number.`);
    case 'date': {
      const isDate = /^\d{4}-\d{2}-\d{2}$/.test(value) && !Number.isNaN(Date.parse(value));
      const isMidnight = /^-?\d+$/.test(value) && Number(value) % 86_400_000 === 0;
      return isDate || isMidnight ? undefined : error('INVALID_DATE', `${value} was not a valid date.`);
    }
    case 'datetime': {
      const isMoment = /^-?\d+$/.test(value) || !Number.isNaN(Date.parse(value));
      return isMoment ? undefined : error('INVALID_DATE', `${value} was not a valid datetime.`);
    }
    default:
      return undefined;
  }
}

/** As GET /crm/v3/properties/contacts/{name} shows it. */
export function propertyView(property: PropertyDefinition): Record<string, unknown> {
  const { readOnly, ...rest } = property;
  return {
    ...rest,
    archived: false,
    calculated: false,
    externalOptions: false,
    hidden: false,
    displayOrder: -1,
    formField: !readOnly,
    modificationMetadata: {
      archivable: !property.hubspotDefined,
      readOnlyDefinition: property.hubspotDefined,
      readOnlyValue: readOnly,
    },
  };
}
