/** The user asked for something that cannot be: one line on stderr, exit status 2. */
export class CliError extends Error {}
