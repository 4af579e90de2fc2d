/** A writer of the audit log has its transaction id before it takes an entry number: what the sealer's watermark leans on. */

export const up = `
create function take_transaction_id() returns trigger language plpgsql as $$
begin
  perform pg_current_xact_id();
  return null;
end $$;

create trigger audit_takes_transaction_id before insert on audit for each statement execute function take_transaction_id();
`;

export const down = `
drop trigger audit_takes_transaction_id on audit;
drop function take_transaction_id();
`;
