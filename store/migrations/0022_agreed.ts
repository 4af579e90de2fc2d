/** A record of a vendor that was compared in full and agreed: as long as neither side moved, a night needs not compare it again. */

export const up = `
alter table vendor_records
  -- whose it was when it agreed
  add column contact_id uuid,
  -- keyed hash of what was read, and of the rules by which it was compared
  add column digest bytea,
  -- the ledger's \`settled\` then: any mark since makes it another
  add column agreed_at_settled bigint;
`;

export const down = `
alter table vendor_records drop column contact_id, drop column digest, drop column agreed_at_settled;
`;
