/**
 * Messages and stacks of failures travel as payloads, so that the codec seals them like everything else (`encoded_attributes` of
 * temporal.api.failure.v1). What stays readable of a failure is its type, a stable word. Loaded by workers, clients and the workflows' bundle.
 */
import { DefaultFailureConverter } from '@temporalio/common';

export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
