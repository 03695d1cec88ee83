/**
 * The handshake, fixed newstyle: what a client and this server agree on before the first request.
 * Bytes in, bytes out; no socket is known here. NBD protocol, "Negotiation".
 *
 * Invariant: whatever a client sends, at most {@link MAX_OPTION_BYTES} of it are held, and each option gets its answer or ends the session.
 */
import { type AgreedOn, type NbdExport, MAX_PAYLOAD, transmissionFlags } from './export.js';
import type { NbdDisk } from './disk.js';
import {
  BASE_ALLOCATION, BASE_ALLOCATION_ID, FLAG_FIXED_NEWSTYLE, FLAG_NO_ZEROES, type Headers, IHAVEOPT, INFO, MAX_STRING, NBDMAGIC, OPT, REP, REPLY_MAGIC, REP_ERR,
} from './protocol.js';

/** Bytes of one option's data that are taken; a longer one is read, thrown away and refused. */
export const MAX_OPTION_BYTES = 64 * 1024;
/** Data of an option that is read only to be thrown away; beyond that the session ends. */
const MAX_DISCARD_BYTES = 16 * 1024 * 1024;
/** Options of one session. */
const MAX_OPTIONS = 128;
const OPTION_HEADER_BYTES = 16;
const MIN_UNASKED_BLOCK = 512;

export type TlsPolicy = 'off' | 'offered' | 'required';

export interface HandshakeNeeds {
  /** In the order of a listing; the first is the default, `''`. */
  readonly exports: () => readonly NbdExport[];
  /** Exports that no listing shows, by name. */
  readonly unlisted?: ((name: string) => NbdExport | undefined) | undefined;
  readonly tls: TlsPolicy;
}

/** What both sides know when requests begin. */
export interface Session extends AgreedOn {
  readonly exported: NbdExport;
  readonly disk: NbdDisk;
}

/** `more`: feed what comes next. `tls`: send the replies, wrap the stream, and {@link Handshake.secured}. */
export type HandshakeNext = 'more' | 'close' | 'tls' | 'transmission';

export interface HandshakeStep {
  readonly replies: readonly Uint8Array[];
  readonly next: HandshakeNext;
}

export interface Handshake {
  /** What the server says first. */
  greeting(): Uint8Array;
  feed(data: Uint8Array): HandshakeStep;
  /** After `transmission`: what was agreed on, and the bytes behind it. */
  session(): { readonly session: Session; readonly rest: Uint8Array };
  /** The stream is encrypted now; all that was agreed on before is void. */
  secured(): void;
}

export function createHandshake({ exports, unlisted, tls }: HandshakeNeeds): Handshake {
  let held: Buffer = Buffer.alloc(0);
  let haveFlags = false;
  let noZeroes = false;
  let nrOptions = 0;
  let discard = 0;
  let tooBig = 0;
  let secure = false;
  let headers: Headers = 'simple';
  /** The export whose contexts were chosen by name. */
  let contextsOf: string | undefined;
  let agreed: Session | undefined;

  const find = (name: string): NbdExport | undefined => (name === '' ? exports()[0] : (exports().find((each) => each.name === name) ?? unlisted?.(name)));

  /** One option, whole. */
  const answer = (option: number, data: Buffer, replies: Uint8Array[]): HandshakeNext => {
    const reply = (type: number, payload: Uint8Array = Buffer.alloc(0)): void => void replies.push(optionReply(option, type, payload));
    const refuse = (type: number, text: string): HandshakeNext => {
      reply(type, Buffer.from(text));
      return 'more';
    };
    if (tls === 'required' && !secure && option !== OPT.STARTTLS && option !== OPT.ABORT) {
      return option === OPT.EXPORT_NAME ? 'close' : refuse(REP_ERR.TLS_REQD, 'this server speaks TLS only: STARTTLS first');
    }
    switch (option) {
      case OPT.EXPORT_NAME:
        return useByName(data, replies);
      case OPT.ABORT:
        reply(REP.ACK);
        return 'close';
      case OPT.LIST: {
        if (data.length > 0) return refuse(REP_ERR.INVALID, 'LIST has no data');
        for (const { name } of exports()) reply(REP.SERVER, withLength(Buffer.from(name)));
        reply(REP.ACK);
        return 'more';
      }
      case OPT.STARTTLS: {
        if (tls === 'off') return refuse(REP_ERR.POLICY, 'this server has no TLS');
        if (secure || data.length > 0) return refuse(REP_ERR.INVALID, secure ? 'TLS runs already' : 'STARTTLS has no data');
        reply(REP.ACK);
        return 'tls';
      }
      case OPT.STRUCTURED_REPLY:
        if (data.length > 0) return refuse(REP_ERR.INVALID, 'STRUCTURED_REPLY has no data');
        if (headers === 'extended') return refuse(REP_ERR.EXT_HEADER_REQD, 'headers are extended already, which is more');
        headers = 'structured';
        reply(REP.ACK);
        return 'more';
      case OPT.EXTENDED_HEADERS:
        if (data.length > 0) return refuse(REP_ERR.INVALID, 'EXTENDED_HEADERS has no data');
        headers = 'extended';
        reply(REP.ACK);
        return 'more';
      case OPT.INFO:
      case OPT.GO:
        return goOrInfo(option, data, reply, refuse);
      case OPT.LIST_META_CONTEXT:
      case OPT.SET_META_CONTEXT:
        return metaContext(option, data, reply, refuse);
      default:
        return refuse(REP_ERR.UNSUP, `option ${option} is not known here`);
    }
  };

  const agreedOn = (exported: NbdExport): AgreedOn => ({
    headers,
    baseAllocation: headers !== 'simple' && contextsOf !== undefined && find(contextsOf)?.name === exported.name,
  });

  /** The oldest way in: no reply but the export itself, or the door. */
  const useByName = (data: Buffer, replies: Uint8Array[]): HandshakeNext => {
    const exported = data.length <= MAX_STRING ? find(data.toString()) : undefined;
    const disk = exported?.disk();
    if (!exported || !disk || disk.minBlock > MIN_UNASKED_BLOCK || headers === 'extended') return 'close';
    const head = Buffer.alloc(noZeroes ? 10 : 134);
    head.writeBigUInt64BE(BigInt(disk.sizeBytes), 0);
    agreed = { exported, disk, ...agreedOn(exported) };
    head.writeUInt16BE(transmissionFlags(exported, disk, agreed), 8);
    replies.push(head);
    return 'transmission';
  };

  const goOrInfo = (option: number, data: Buffer, reply: Reply, refuse: Refuse): HandshakeNext => {
    const asked = parseGo(data);
    if (!asked) return refuse(REP_ERR.INVALID, 'expected a name with its length, and a count of information types with as many');
    const exported = find(asked.name);
    if (!exported) return refuse(REP_ERR.UNKNOWN, `no export '${asked.name}'; there are: ${exports().map(({ name }) => `'${name}'`).join(', ')}`);
    const disk = exported.disk();
    if (!disk) return refuse(REP_ERR.SHUTDOWN, `'${exported.name}' has no power`);
    const asksBlockSize = asked.types.includes(INFO.BLOCK_SIZE);
    if (option === OPT.GO && !asksBlockSize && disk.minBlock > MIN_UNASKED_BLOCK) {
      return refuse(REP_ERR.BLOCK_SIZE_REQD, `'${exported.name}' has blocks of ${disk.minBlock} bytes`);
    }
    const agreeing = agreedOn(exported);
    reply(REP.INFO, exportInfo(exported, disk, agreeing));
    if (asked.types.includes(INFO.NAME)) reply(REP.INFO, textInfo(INFO.NAME, exported.name));
    if (asked.types.includes(INFO.DESCRIPTION) && exported.description !== undefined) reply(REP.INFO, textInfo(INFO.DESCRIPTION, exported.description));
    reply(REP.INFO, blockSizeInfo(disk));
    reply(REP.ACK);
    if (option === OPT.INFO) return 'more';
    agreed = { exported, disk, ...agreeing };
    return 'transmission';
  };

  const metaContext = (option: number, data: Buffer, reply: Reply, refuse: Refuse): HandshakeNext => {
    const setting = option === OPT.SET_META_CONTEXT;
    if (setting) contextsOf = undefined;
    if (headers === 'simple') return refuse(REP_ERR.INVALID, 'STRUCTURED_REPLY or EXTENDED_HEADERS comes before contexts');
    const asked = parseContexts(data);
    if (!asked) return refuse(REP_ERR.INVALID, 'expected a name with its length, and a count of queries with as many');
    if (!find(asked.name)) return refuse(REP_ERR.UNKNOWN, `no export '${asked.name}'`);
    const listed = setting ? [] : ['base:'];
    const named = asked.queries.length === 0 && !setting ? true : asked.queries.some((query) => query === BASE_ALLOCATION || listed.includes(query));
    if (named) {
      const payload = Buffer.alloc(4 + BASE_ALLOCATION.length);
      payload.writeUInt32BE(setting ? BASE_ALLOCATION_ID : 0, 0);
      payload.write(BASE_ALLOCATION, 4);
      reply(REP.META_CONTEXT, payload);
      if (setting) contextsOf = asked.name;
    }
    reply(REP.ACK);
    return 'more';
  };

  /** Take one option from what is held; undefined if it is not whole yet. */
  const takeOption = (replies: Uint8Array[]): HandshakeNext | undefined => {
    if (held.length < OPTION_HEADER_BYTES) return undefined;
    const option = held.readUInt32BE(8);
    const length = held.readUInt32BE(12);
    if (held.readBigUInt64BE(0) !== IHAVEOPT || ++nrOptions > MAX_OPTIONS) return 'close';
    if (length > MAX_OPTION_BYTES) {
      if (length > MAX_DISCARD_BYTES) return 'close';
      held = held.subarray(OPTION_HEADER_BYTES);
      discard = length;
      tooBig = option;
      return 'more';
    }
    if (held.length < OPTION_HEADER_BYTES + length) {
      nrOptions--;
      return undefined;
    }
    const data = held.subarray(OPTION_HEADER_BYTES, OPTION_HEADER_BYTES + length);
    held = held.subarray(OPTION_HEADER_BYTES + length);
    return answer(option, data, replies);
  };

  /** Throw away what belongs to an option that is too long; true while more of it is to come. */
  const stillDiscarding = (replies: Uint8Array[]): boolean => {
    if (discard === 0) return false;
    const gone = Math.min(discard, held.length);
    held = held.subarray(gone);
    discard -= gone;
    if (discard > 0) return true;
    replies.push(optionReply(tooBig, REP_ERR.TOO_BIG, Buffer.from(`at most ${MAX_OPTION_BYTES} bytes of data`)));
    return false;
  };

  return {
    greeting() {
      const bytes = Buffer.alloc(18);
      bytes.writeBigUInt64BE(NBDMAGIC, 0);
      bytes.writeBigUInt64BE(IHAVEOPT, 8);
      bytes.writeUInt16BE(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES, 16);
      return bytes;
    },
    feed(data) {
      held = Buffer.concat([held, data]);
      const replies: Uint8Array[] = [];
      if (!haveFlags) {
        if (held.length < 4) return { replies, next: 'more' };
        const flags = held.readUInt32BE(0);
        if ((flags & ~(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES)) !== 0 || (flags & FLAG_FIXED_NEWSTYLE) === 0) return { replies, next: 'close' };
        noZeroes = (flags & FLAG_NO_ZEROES) !== 0;
        haveFlags = true;
        held = held.subarray(4);
      }
      for (;;) {
        if (stillDiscarding(replies)) return { replies, next: 'more' };
        const next = takeOption(replies);
        if (next === undefined) return { replies, next: 'more' };
        if (next !== 'more') return { replies, next };
      }
    },
    session() {
      if (!agreed) throw new Error('the handshake has not come to an end');
      return { session: agreed, rest: held };
    },
    secured() {
      held = Buffer.alloc(0); // what came in the clear behind STARTTLS could be anybody's (CVE-2021-3716)
      secure = true;
      headers = 'simple';
      contextsOf = undefined;
    },
  };
}

type Reply = (type: number, payload?: Uint8Array) => void;
type Refuse = (type: number, text: string) => HandshakeNext;

function optionReply(option: number, type: number, payload: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(20 + payload.length);
  bytes.writeBigUInt64BE(REPLY_MAGIC, 0);
  bytes.writeUInt32BE(option, 8);
  bytes.writeUInt32BE(type, 12);
  bytes.writeUInt32BE(payload.length, 16);
  bytes.set(payload, 20);
  return bytes;
}

function withLength(text: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + text.length);
  bytes.writeUInt32BE(text.length, 0);
  text.copy(bytes, 4);
  return bytes;
}

/** A string with its length in front, and the rest; undefined if it is not all there or too long. */
function takeString(data: Buffer): { readonly text: string; readonly rest: Buffer } | undefined {
  if (data.length < 4) return undefined;
  const length = data.readUInt32BE(0);
  if (length > MAX_STRING || data.length < 4 + length) return undefined;
  return { text: data.toString('utf8', 4, 4 + length), rest: data.subarray(4 + length) };
}

function parseGo(data: Buffer): { readonly name: string; readonly types: readonly number[] } | undefined {
  const head = takeString(data);
  if (!head || head.rest.length < 2) return undefined;
  const count = head.rest.readUInt16BE(0);
  if (head.rest.length !== 2 + 2 * count) return undefined;
  return { name: head.text, types: Array.from({ length: count }, (_, i) => head.rest.readUInt16BE(2 + 2 * i)) };
}

function parseContexts(data: Buffer): { readonly name: string; readonly queries: readonly string[] } | undefined {
  const head = takeString(data);
  if (!head || head.rest.length < 4) return undefined;
  const count = head.rest.readUInt32BE(0);
  let rest = head.rest.subarray(4);
  const queries: string[] = [];
  for (let i = 0; i < count; i++) {
    const query = takeString(rest);
    if (!query) return undefined;
    queries.push(query.text);
    rest = query.rest;
  }
  return rest.length === 0 ? { name: head.text, queries } : undefined;
}

function exportInfo(exported: NbdExport, disk: NbdDisk, agreeing: AgreedOn): Uint8Array {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16BE(INFO.EXPORT, 0);
  bytes.writeBigUInt64BE(BigInt(disk.sizeBytes), 2);
  bytes.writeUInt16BE(transmissionFlags(exported, disk, agreeing), 10);
  return bytes;
}

function textInfo(type: number, text: string): Uint8Array {
  const bytes = Buffer.alloc(2 + Buffer.byteLength(text));
  bytes.writeUInt16BE(type, 0);
  bytes.write(text, 2);
  return bytes;
}

function blockSizeInfo({ minBlock, preferredBlock }: NbdDisk): Uint8Array {
  const bytes = Buffer.alloc(14);
  bytes.writeUInt16BE(INFO.BLOCK_SIZE, 0);
  bytes.writeUInt32BE(minBlock, 2);
  bytes.writeUInt32BE(preferredBlock, 6);
  bytes.writeUInt32BE(MAX_PAYLOAD, 10);
  return bytes;
}
