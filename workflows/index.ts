export { lane } from './lane.ts';
export { erasure } from './erasure.ts';
export { reconciliation, changes } from './reconciliation.ts';
export { cause } from './cause.ts';
export { retention } from './retention.ts';
