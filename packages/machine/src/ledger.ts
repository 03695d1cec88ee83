/**
 * What accesses owe: the time they took, the wear of their medium, the lines that they left in the last-level cache.
 *
 * A plain load or stream only writes down that it was made; the accounts are settled many at a time, or when somebody asks for one of them. Why:
 * the host works off a copy of 4 KiB for hundreds of nanoseconds after the program has gone on, and whatever is loaded and stored
 * meanwhile waits behind it. Accounts kept at once cost a random 4 KiB write 300 ns there, and 25 ns by themselves.
 *
 * Invariant: nobody sees an account that is not settled. All entries are of one mapping, in program order.
 */
export interface Debtor {
  /** Accesses at `entries[0]`, `entries[2]` and so on, below `used`, will be charged: fetch what that takes from the host's memory. */
  prefetch(entries: Float64Array, used: number): void;
  /** Account for a stream of `length` bytes at `offset`, or, if `length` is negative, for a load of `-1 - length`. */
  charge(offset: number, length: number): void;
}

/** Words of the entries that wait at most: two for each. */
const CAPACITY = 256;

export class Ledger {
  readonly #entries = new Float64Array(CAPACITY);
  #used = 0;
  #debtor: Debtor | undefined;

  /** Write down what `charge` is to be told. */
  record(debtor: Debtor, offset: number, length: number): void {
    if (this.#debtor !== debtor || this.#used === CAPACITY) this.#turnTo(debtor);
    const at = this.#used;
    this.#entries[at] = offset;
    this.#entries[at + 1] = length;
    this.#used = at + 2;
  }

  settle(): void {
    if (this.#used > 0) this.#chargeAll();
  }

  #turnTo(debtor: Debtor): void {
    this.settle();
    this.#debtor = debtor;
  }

  #chargeAll(): void {
    const entries = this.#entries;
    const used = this.#used;
    const debtor = this.#debtor!;
    this.#used = 0; // first: who charges asks for accounts
    debtor.prefetch(entries, used);
    for (let at = 0; at < used; at += 2) debtor.charge(entries[at]!, entries[at + 1]!);
  }
}
