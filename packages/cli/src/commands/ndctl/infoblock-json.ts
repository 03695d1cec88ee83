/** What ndctl tells of info blocks as JSON. Mirrors ndctl's ndctl/namespace.c: parse_namespace_infoblock, btt_parse, pfn_parse. */
import {
  BTT_SIGNATURE, INFO_BLOCK_OFFSET, INFO_BLOCK_SIGNATURE, INFO_BLOCK_SIZE, decodeBttInfo, decodeInfoBlock, hasSignature, superBlockChecksum,
} from '@holdfast/nvdimm';
import type { Json, JsonObject } from './json-text.js';
import { humanHex } from './size.js';

export interface InfoBlockSource {
  /** `{ dev: 'namespace0.0' }` or `{ file: '/tmp/x' }`. */
  readonly origin: JsonObject;
  /** Sizes and offsets as hexadecimal text. */
  readonly human: boolean;
  /** Pass over blocks whose checksum is wrong. */
  readonly verify: boolean;
}

/** Where each kind may begin: a BTT of v1.1 and the others behind the first page, a BTT of v2.0 before it. */
export function infoBlocksJson(head: Uint8Array, source: InfoBlockSource): JsonObject[] {
  const second = head.subarray(INFO_BLOCK_OFFSET, INFO_BLOCK_OFFSET + INFO_BLOCK_SIZE);
  const first = head.subarray(0, INFO_BLOCK_SIZE);
  return [
    ...[second, first]
      .filter((bytes) => hasSignature(bytes, BTT_SIGNATURE))
      .flatMap((bytes) => blockJson(bytes, BTT_SIGNATURE, bttFields(bytes, source), source)),
    ...Object.values(INFO_BLOCK_SIGNATURE)
      .filter((signature) => hasSignature(second, signature))
      .flatMap((signature) => blockJson(second, signature, pfnFields(second, source), source)),
  ];
}

function blockJson(bytes: Uint8Array, signature: string, fields: JsonObject, { origin, human, verify }: InfoBlockSource): JsonObject[] {
  const { uuid, parentUuid, flags, versionMajor, versionMinor, checksum } = decodeInfoBlock(bytes); // the fields that both kinds have
  if (verify && checksum !== superBlockChecksum(bytes)) return [];
  return [{
    ...origin, signature, uuid, parent_uuid: parentUuid, flags: human ? humanHex(flags) : flags, version: `${versionMajor}.${versionMinor}`,
    ...fields,
  }];
}

function bttFields(bytes: Uint8Array, { human }: InfoBlockSource): JsonObject {
  const info = decodeBttInfo(bytes);
  const hex = (value: bigint): Json => (human ? humanHex(value) : value);
  return {
    external_lbasize: info.externalLbaSize,
    external_nlba: info.externalNlba,
    internal_lbasize: info.internalLbaSize,
    internal_nlba: info.internalNlba,
    nfree: info.nfree,
    infosize: info.infoSize,
    nextoff: hex(info.nextOffset),
    dataoff: hex(info.dataOffset),
    mapoff: hex(info.mapOffset),
    logoff: hex(info.logOffset),
    info2off: hex(info.info2Offset),
  };
}

function pfnFields(bytes: Uint8Array, { human }: InfoBlockSource): JsonObject {
  const block = decodeInfoBlock(bytes);
  const hex = (value: number | bigint): Json => (human ? humanHex(value) : value);
  return {
    dataoff: hex(block.dataOffset),
    npfns: hex(block.nrPfns),
    mode: block.mode,
    start_pad: hex(block.startPad),
    end_trunc: hex(block.endTrunc),
    align: hex(block.align),
    page_size: hex(block.pageSize),
    page_struct_size: hex(block.pageStructSize),
  };
}
