import packageJson from '../package.json' with { type: 'json' };

/** This WikiSeed, as in package.json. */
export const VERSION: string = packageJson.version;
