/**
 * mkfs.xfs(8) of xfsprogs 6.1. What it makes is in packages/fs; here are its options, its words, and its choices.
 */
import { XfsUsage, type XfsSuper, makeXfs, planXfs } from '@holdfast/fs';
import { KernelError, isPowerOf2, strerror } from '@holdfast/lib';
import type { Command, CommandIo } from '../../console/command.js';
import { UsageError } from '../../console/getopt.js';
import { type MkfsDevice, mkfsDevice } from './device.js';

/** What is printed when it is called wrongly, or refuses a size. */
const USAGE = `Usage: mkfs.xfs
/* blocksize */\t\t[-b size=num]
/* config file */\t[-c options=xxx]
/* metadata */\t\t[-m crc=0|1,finobt=0|1,uuid=xxx,rmapbt=0|1,reflink=0|1,
\t\t\t    inobtcount=0|1,bigtime=0|1]
/* data subvol */\t[-d agcount=n,agsize=n,file,name=xxx,size=num,
\t\t\t    (sunit=value,swidth=value|su=num,sw=num|noalign),
\t\t\t    sectsize=num
/* force overwrite */\t[-f]
/* inode size */\t[-i perblock=n|size=num,maxpct=n,attr=0|1|2,
\t\t\t    projid32bit=0|1,sparse=0|1,nrext64=0|1]
/* no discard */\t[-K]
/* log subvol */\t[-l agnum=n,internal,size=num,logdev=xxx,version=n
\t\t\t    sunit=value|su=num,sectsize=num,lazy-count=0|1]
/* label */\t\t[-L label (maximum 12 characters)]
/* naming */\t\t[-n size=num,version=2|ci,ftype=0|1]
/* no-op info only */\t[-N]
/* prototype file */\t[-p fname]
/* quiet */\t\t[-q]
/* realtime subvol */\t[-r extsize=num,size=num,rtdev=xxx]
/* sectorsize */\t[-s size=num]
/* version */\t\t[-V]
\t\t\tdevicename
<devicename> is required unless -d name=xxx is given.
<num> is xxx (bytes), xxxs (sectors), xxxb (fs blocks), xxxk (xxx KiB),
      xxxm (xxx MiB), xxxg (xxx GiB), xxxt (xxx TiB) or xxxp (xxx PiB).
<value> is xxx (512 byte blocks).`;

/** Sub-options that are taken, by option letter, and the values that are made here where there is a choice. */
const SUBOPTIONS: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
  b: { size: /^/ },
  s: { size: /^/ },
  m: { uuid: /^/, reflink: /^[01]$/, crc: /^1$/, finobt: /^1$/, rmapbt: /^0$/, inobtcount: /^1$/, bigtime: /^1$/ },
  d: { su: /^/, sw: /^/, sunit: /^/, swidth: /^/, noalign: /^/, name: /^/, size: /^/, sectsize: /^/ },
  i: { size: /^512$/, sparse: /^1$/, attr: /^2$/, projid32bit: /^1$/, nrext64: /^0$/ },
  n: { version: /^2$/, ftype: /^1$/, size: /^4096$/ },
  l: { internal: /^(1|)$/, version: /^2$/, 'lazy-count': /^1$/ },
};

interface Job {
  readonly path: string | undefined;
  readonly isQuiet: boolean;
  readonly isForced: boolean;
  readonly isDryRun: boolean;
  readonly label: string;
  readonly values: ReadonlyMap<string, string>;
}

export const mkfsXfs: Command = {
  usage: 'mkfs.xfs [-qfNK] [-b size=N] [-s size=N] [-m uuid=U,reflink=0|1] [-d su=N,sw=N] [-L LABEL] DEVICE',
  run(io) {
    try {
      return make(io, parse(io.args));
    } catch (error) {
      if (!(error instanceof XfsUsage)) throw error;
      for (const line of [error.message, ...USAGE.split('\n')]) io.err(line);
      return 1;
    }
  },
};

function make(io: CommandIo, job: Job): number {
  const { path, values } = job;
  if (path === undefined) throw new XfsUsage('no device name given in argument list');
  const device = openDevice(io, path);
  if (!device) return 1;
  if (device.isMounted || device.isBusy) {
    throw new XfsUsage(device.isMounted ? `mkfs.xfs: ${path} contains a mounted filesystem` : `mkfs.xfs: cannot open ${path}: ${strerror('EBUSY')}`);
  }
  const old = job.isForced ? undefined : contentOf(device);
  if (old !== undefined) {
    io.err(`mkfs.xfs: ${path} appears to contain an existing filesystem (${old}).`);
    io.err('mkfs.xfs: Use the -f option to force overwrite.');
    return 1;
  }
  const blockBytes = sizeOf(values.get('b.size') ?? '4096', 4096);
  if (!isPowerOf2(blockBytes) || blockBytes < 1024 || blockBytes > 65536) throw new XfsUsage(`illegal block size ${blockBytes}`);
  const sectorBytes = chooseSector(io, device, blockBytes, values.get('s.size') ?? values.get('d.sectsize'));
  const [stripeUnitBytes, stripeWidthBytes] = stripes(values, blockBytes);
  const options = {
    sizeBytes: Math.min(device.sizeBytes, sizeOf(values.get('d.size') ?? String(device.sizeBytes), blockBytes)),
    blockBytes,
    sectorBytes,
    label: job.label,
    now: io.kernel.now(),
    uuid: uuidOf(values.get('m.uuid') ?? io.system.randomUuid()),
    hasReflink: values.get('m.reflink') !== '0',
    stripeUnitBytes,
    stripeWidthBytes,
  };
  if (!job.isQuiet && stripeUnitBytes > 256 * 1024 && sectorBytes === 512) {
    io.err(`log stripe unit (${stripeUnitBytes} bytes) is too large (maximum is 256KiB)`);
    io.err('log stripe unit adjusted to 32KiB');
  }
  const sb: XfsSuper = job.isDryRun ? { ...planXfs(options), rootIno: 0, icount: 0, ifree: 0, fdblocks: 0 } : device.write((store) => makeXfs(store, options));
  if (!job.isQuiet || job.isDryRun) report(io, path, sb);
  return 0;
}

function openDevice(io: CommandIo, path: string): MkfsDevice | undefined {
  const complain = (why: string): undefined => {
    io.err(`Error accessing specified device ${path}: ${why}`);
    for (const line of USAGE.split('\n')) io.err(line);
  };
  try {
    return mkfsDevice(io, path) ?? complain('Block device required');
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return complain(strerror(error.code));
  }
}

/** What libblkid would find: the two that are made here. */
function contentOf(device: MkfsDevice): string | undefined {
  const head = device.read(0, 4096);
  const view = new DataView(head.buffer);
  if (view.getUint32(0) === 0x58465342) return 'xfs';
  if (view.getUint16(1024 + 56, true) !== 0xef53) return undefined;
  return (view.getUint32(1024 + 0x60, true) & 0x240) !== 0 ? 'ext4' : (view.getUint32(1024 + 0x5c, true) & 4) !== 0 ? 'ext3' : 'ext2';
}

/** The physical sector, unless blocks are smaller. */
function chooseSector(io: CommandIo, { logicalBlockSize, physicalBlockSize }: MkfsDevice, blockBytes: number, given: string | undefined): number {
  let sector = given === undefined ? physicalBlockSize : sizeOf(given, blockBytes);
  if (given === undefined && blockBytes < sector && blockBytes >= logicalBlockSize) {
    io.err(`specified blocksize ${blockBytes} is less than device physical sector size ${sector}`);
    io.err(`switching to logical sector size ${logicalBlockSize}`);
    sector = logicalBlockSize;
  }
  if (!isPowerOf2(sector) || sector < 512 || sector > 32768) throw new XfsUsage(`illegal sector size ${sector}`);
  if (blockBytes < sector) throw new XfsUsage(`block size ${blockBytes} cannot be smaller than sector size ${sector}`);
  if (sector < logicalBlockSize) throw new XfsUsage(`illegal sector size ${sector}; hw sector is ${logicalBlockSize}`);
  return sector;
}

/** Of the array, in bytes: `su` and `sw` count bytes and disks, `sunit` and `swidth` 512 bytes. */
function stripes(values: ReadonlyMap<string, string>, blockBytes: number): [unit: number, width: number] {
  if (values.has('d.noalign')) return [0, 0];
  const [su, sw, sunit, swidth] = ['su', 'sw', 'sunit', 'swidth'].map((name) => values.get(`d.${name}`));
  if ((su === undefined) !== (sw === undefined)) throw new XfsUsage('both data su and data sw options must be specified');
  if ((sunit === undefined) !== (swidth === undefined)) throw new XfsUsage('both data sunit and data swidth options must be specified');
  const unit = su !== undefined ? sizeOf(su, blockBytes) : Number(sunit ?? 0) * 512;
  const width = su !== undefined ? unit * Number(sw) : Number(swidth ?? 0) * 512;
  if (unit % blockBytes !== 0) {
    throw new XfsUsage(
      su === undefined ? `data sunit (${sunit}) must be a multiple of the block size` : 'data su must be a multiple of the sector size',
    );
  }
  if (unit > 0 && width % unit !== 0) throw new XfsUsage(`data stripe width (${width / 512}) must be a multiple of the data stripe unit (${unit / 512})`);
  return [unit, width];
}

function sizeOf(text: string, blockBytes: number): number {
  const match = /^(\d+)([sbkmgtp]?)$/i.exec(text);
  if (!match) throw new XfsUsage(`Invalid value ${text}`);
  return Number(match[1]) * { '': 1, s: 512, b: blockBytes, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, p: 2 ** 50 }[match[2]!.toLowerCase()]!;
}

function uuidOf(text: string): Uint8Array {
  const digits = text.replaceAll('-', '');
  if (!/^[0-9a-fA-F]{32}$/.test(digits)) throw new XfsUsage(`illegal uuid ${text}`);
  return Uint8Array.from({ length: 16 }, (_, i) => parseInt(digits.slice(i * 2, i * 2 + 2), 16));
}

function parse(args: readonly string[]): Job {
  const values = new Map<string, string>();
  const flags = new Set<string>();
  const operands: string[] = [];
  let label = '';
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (!arg.startsWith('-') || arg === '-') {
      operands.push(arg);
      continue;
    }
    for (let at = 1; at < arg.length; at++) {
      const letter = arg[at]!;
      if ('qfNKV'.includes(letter)) {
        flags.add(letter);
        continue;
      }
      const value = arg.slice(at + 1) || args[++i];
      if (value === undefined) throw new UsageError(`option requires an argument -- '${letter}'`);
      if (letter === 'L') label = value;
      else if (Object.hasOwn(SUBOPTIONS, letter)) readSuboptions(letter, value, values);
      else throw new XfsUsage(`mkfs.xfs: invalid option -- '${letter}'`);
      break;
    }
  }
  if (label.length > 12) throw new XfsUsage(`illegal label: ${label}`);
  return { path: operands[0] ?? values.get('d.name'), isQuiet: flags.has('q'), isForced: flags.has('f'), isDryRun: flags.has('N'), label, values };
}

function readSuboptions(letter: string, text: string, values: Map<string, string>): void {
  for (const part of text.split(',')) {
    const [name = '', value = ''] = part.split('=');
    const known = Object.hasOwn(SUBOPTIONS[letter]!, name) ? SUBOPTIONS[letter]![name] : undefined;
    if (!known) throw new XfsUsage(`unknown option -${letter} ${name}`);
    if (!known.test(value)) throw new KernelError('EOPNOTSUPP', `-${letter} ${part} is not made here`);
    values.set(`${letter}.${name}`, value);
  }
}

function report(io: CommandIo, path: string, sb: XfsSuper): void {
  const { agCount, agBlocks, sectorBytes, blockBytes, dblocks, sunit, swidth, logBlocks, logSunitBytes } = sb;
  io.out(
    [
      `meta-data=${path.padEnd(22)} isize=${String(sb.inodeBytes).padEnd(6)} agcount=${agCount}, agsize=${agBlocks} blks`,
      `         =${''.padEnd(22)} sectsz=${String(sectorBytes).padEnd(5)} attr=2, projid32bit=1`,
      `         =${''.padEnd(22)} crc=${'1'.padEnd(8)} finobt=1, sparse=1, rmapbt=0`,
      `         =${''.padEnd(22)} reflink=${String(Number(sb.hasReflink)).padEnd(4)} bigtime=1 inobtcount=1 nrext64=0`,
      `data     =${''.padEnd(22)} bsize=${String(blockBytes).padEnd(6)} blocks=${dblocks}, imaxpct=${dblocks * blockBytes < 2 ** 40 ? 25 : dblocks * blockBytes < 50 * 2 ** 40 ? 5 : 1}`,
      `         =${''.padEnd(22)} sunit=${String(sunit).padEnd(6)} swidth=${swidth} blks`,
      `naming   =${'version 2'.padEnd(22)} bsize=${String(Math.max(4096, blockBytes)).padEnd(6)} ascii-ci=0, ftype=1`,
      `log      =${'internal log'.padEnd(22)} bsize=${String(blockBytes).padEnd(6)} blocks=${logBlocks}, version=2`,
      `         =${''.padEnd(22)} sectsz=${String(sectorBytes).padEnd(5)} sunit=${Math.floor(logSunitBytes / blockBytes)} blks, lazy-count=1`,
      `realtime =${'none'.padEnd(22)} extsz=${'4096'.padEnd(6)} blocks=0, rtextents=0`,
      '',
    ].join('\n'),
  );
}
