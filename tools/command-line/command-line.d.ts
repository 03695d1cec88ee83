import type { Command } from 'commander';

/** A command that ends the process with status 2 and one line on stderr, `NAME: …`, where it is given what it does not take. */
export function toolCommand(name: string, what: string): Command;

/** Reads an option's number in decimal digits, `[least, most]`. @throws InvalidArgumentError, which the command tells of */
export function wholeNumber(least?: number, most?: number): (text: string) => number;

/** Reads an option's number above 0, with or without a fraction. @throws InvalidArgumentError, which the command tells of */
export function positiveNumber(text: string): number;
