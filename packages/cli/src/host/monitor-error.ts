/** What the monitor answers to a command that it refuses. */
export class MonitorError extends Error {}
