/** All doors. A new one needs a line in api/roles.ts too. */
import type { Admit } from '../auth.ts';
import type { CodecDoor } from '../codec-door.ts';
import type { Api, ApiDeps, DoorDeps } from '../deps.ts';
import { Once } from '../once.ts';
import { Reads } from '../reads.ts';
import type { Waiters } from '../waiting.ts';
import { addAuditRoutes } from './audit.ts';
import { addBulkRoutes } from './bulk.ts';
import { addCaseRoutes } from './cases.ts';
import { addCauseRoutes } from './causes.ts';
import { addCodecRoutes } from './codec.ts';
import { addCodecSession } from './codec-session.ts';
import { addConsentRoutes } from './consents.ts';
import { addContactReadRoutes } from './contact-reads.ts';
import { addContactWriteRoutes } from './contact-writes.ts';
import { addHealthRoutes } from './health.ts';
import { addLandingRoute } from './landing.ts';
import { addRecipientRoutes } from './recipients.ts';
import { addRunRoutes } from './runs.ts';
import { addSystemRoutes } from './systems.ts';

export function addRoutes(app: Api, deps: ApiDeps, waiters: Waiters, door: CodecDoor, admit: Admit): void {
  const all: DoorDeps = { ...deps, reads: new Reads(deps.db), once: new Once(deps), waiters };
  addLandingRoute(app, all);
  addHealthRoutes(app, all);
  addContactReadRoutes(app, all);
  addContactWriteRoutes(app, all);
  addBulkRoutes(app, all);
  addConsentRoutes(app, all);
  addCaseRoutes(app, all);
  addSystemRoutes(app, all);
  addRunRoutes(app, all);
  addCauseRoutes(app, all);
  addRecipientRoutes(app, all);
  addAuditRoutes(app, all);
  addCodecRoutes(app, door);
  addCodecSession(app, door, admit);
}
