/**
 * Flags of Node for the worker: a small young generation, and an old one that is collected when it has grown by a third. Measured with a
 * bulk change (`npm run bench -- --only bulk`): without flags 600 MB; with `--optimize-for-size` 300 MB at more than twice the processor
 * time, most of it collecting; with these 300 MB at a tenth more.
 */
export const WORKER_FLAGS: readonly string[] = ['--max-semi-space-size=2', '--heap-growing-percent=30'];
