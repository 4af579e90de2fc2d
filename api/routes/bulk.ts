import type { Api, DoorDeps } from '../deps.ts';
export function addBulkRoutes(_app: Api, _deps: DoorDeps): void {}
