/**
 * The published microbenchmarks of DRAM and Optane, run on the simulated machine in virtual time. A test checks the table, and
 * tools/bench/microbench.js prints it. Sources as in src/costs.ts; [F20/I19] says that a figure follows from two of them.
 *
 * Latencies are of one CPU on an idle machine. Bandwidths are those of as many CPUs as it takes to keep the media busy, which is how the
 * published maxima were measured: bytes by the time for which the media worked. [1 CPU] is the clock's time.
 */
const MIB = 1024 * 1024;
/** Writes go to 64 MiB, so that the host holds no more; reads go all over a terabyte, and find no line in a cache. */
const SIZE = 64 * MIB;
const READ_SIZE = 2 ** 40;
const countOf = (size) => Math.min(4096, SIZE / size);

/** @returns {import('./published.d.ts').Row[]} */
export function microbenchmarks({ createMachine, createDram, createNvdimm }) {
  const media = {
    DRAM: () => createDram(READ_SIZE),
    Optane: () => createNvdimm({ sizeBytes: READ_SIZE }),
    'Optane x6': () => createNvdimm({ sizeBytes: READ_SIZE, interleave: 6 }),
  };
  const bench = (medium, type = 'WB') => {
    const device = media[medium]();
    const machine = createMachine({ media: [{ start: 0, medium: device }] });
    return { machine, wear: device.wear, cpu: machine.cpu, m: machine.cpu.map(0, READ_SIZE, type), buffer: new Uint8Array(MIB) };
  };

  const offsets = (size, random, within = SIZE) => {
    let state = 1;
    return Array.from({ length: countOf(size) }, (_, i) => {
      if (!random) return (i * size) % within;
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * (within / size)) * size;
    });
  };
  /** Mean virtual time of `step` over idle accesses to lines that were not accessed before. */
  const latency = (medium, random, step, prepare = () => undefined) => {
    const b = bench(medium);
    let spent = 0;
    const seen = new Set();
    // At random: never two lines of one 8 KiB in a row, nor one twice.
    const at = random ? offsets(8192, true).filter((offset) => !seen.has(offset) && seen.add(offset)) : offsets(64, false);
    for (const offset of at) {
      prepare(b, offset);
      b.machine.clock.advance(random || prepare.length > 0 ? 1000 : 0);
      const before = b.machine.clock.now;
      step(b, offset);
      spent += b.machine.clock.now - before;
    }
    return spent / at.length;
  };
  const load = ({ m, buffer }, offset) => m.read(offset, buffer, 0, 64);
  const storeFlush = ({ m, cpu, buffer }, offset) => {
    m.write(offset, buffer, 0, 8);
    m.clwb(offset, 8);
    cpu.sfence();
  };
  const stream = ({ m, cpu, buffer }, offset) => {
    m.writeFlushCache(offset, buffer, 0, 64);
    cpu.sfence();
  };
  const warm = ({ m, buffer }, offset) => m.read(offset, buffer, 0, 64);

  const run = (medium, op, size, random) => {
    const b = bench(medium);
    for (const offset of offsets(size, random, op === 'read' ? READ_SIZE : SIZE)) {
      if (op === 'read') b.m.read(offset, b.buffer, 0, size);
      else b.m.writeFlushCache(offset, b.buffer, 0, size);
    }
    return b;
  };
  const bandwidth = (medium, op, size, random) => {
    const { wear } = run(medium, op, size, random);
    return (countOf(size) * size) / wear.busyNs;
  };
  const oneCpu = (medium, op, size, random) => (countOf(size) * size) / run(medium, op, size, random).machine.clock.now;
  const ewr = (size, random) => {
    const { wear } = run('Optane', 'write', size, random);
    return wear.bytesReceived / (wear.linesWritten * wear.lineBytes);
  };

  const rows = [];
  const row = (name, unit, published, source, measured) => void rows.push({ name, unit, published, source, measured });
  row('DRAM idle load, sequential', 'ns', 81, 'F20', latency('DRAM', false, load));
  row('DRAM idle load, random', 'ns', 101, 'F20', latency('DRAM', true, load));
  row('DRAM store + clwb + sfence', 'ns', 57, 'F20', latency('DRAM', true, storeFlush, warm));
  row('DRAM nt store + sfence', 'ns', 86, 'F20', latency('DRAM', true, stream));
  row('Optane idle load, sequential', 'ns', 169, 'F20', latency('Optane', false, load));
  row('Optane idle load, random', 'ns', 305, 'F20, I19', latency('Optane', true, load));
  row('Optane store + clwb + sfence', 'ns', 62, 'F20', latency('Optane', true, storeFlush, warm));
  row('Optane nt store + sfence', 'ns', 90, 'F20', latency('Optane', true, stream));
  for (const size of [256, 1024, 4096, 65536]) row(`Optane read, random, ${size} B`, 'GB/s', 6.6, 'F20, I19', bandwidth('Optane', 'read', size, true));
  row('Optane read, random, 64 B', 'GB/s', 6.6 / 4, 'F20/I19', bandwidth('Optane', 'read', 64, true));
  for (const size of [64, 256, 1024, 4096, 65536]) {
    row(`Optane nt write, sequential, ${size} B`, 'GB/s', 2.3, 'F20, I19', bandwidth('Optane', 'write', size, false));
  }
  for (const size of [256, 1024, 4096]) row(`Optane nt write, random, ${size} B`, 'GB/s', 2.3, 'F20, I19', bandwidth('Optane', 'write', size, true));
  row('Optane nt write, random, 64 B', 'GB/s', 2.3 / 4, 'F20/I19', bandwidth('Optane', 'write', 64, true));
  row('Optane nt write, 4 KiB [1 CPU]', 'GB/s', 2.3, 'F20, I19', oneCpu('Optane', 'write', 4096, false));
  row('Optane write, sequential by random, 64 B', 'x', 4, 'I19', bandwidth('Optane', 'write', 64, false) / bandwidth('Optane', 'write', 64, true));
  for (const [medium, ratio] of [['Optane', 2.9], ['DRAM', 1.3]]) row(`${medium} read by nt write, 4 KiB`, 'x', ratio, 'F20', bandwidth(medium, 'read', 4096, false) / bandwidth(medium, 'write', 4096, false));
  row('Optane x6 read, 4 KiB', 'GB/s', 39.4, 'I19', bandwidth('Optane x6', 'read', 4096, false));
  row('Optane x6 nt write, 4 KiB', 'GB/s', 13.9, 'I19', bandwidth('Optane x6', 'write', 4096, false));
  row('DRAM read, 4 KiB, six channels', 'GB/s', 100, 'I19', bandwidth('DRAM', 'read', 4096, false));
  row('DRAM nt write, 4 KiB, six channels', 'GB/s', 80, 'I19', bandwidth('DRAM', 'write', 4096, false));
  row('Optane nt write, sequential, 64 B', 'EWR', 0.98, 'F20', ewr(64, false));
  row('Optane nt write, random, 64 B', 'EWR', 0.25, 'F20', ewr(64, true));
  row('Optane nt write, random, 256 B', 'EWR', 1, 'F20', ewr(256, true));
  return rows;
}

/** By which part the measured figure is off. */
export function deviation({ published, measured }) {
  return measured / published - 1;
}

export function formatTable(rows) {
  const line = (name, unit, published, measured, off, source) => {
    return `${name.padEnd(42)} ${unit.padEnd(5)} ${published.padStart(9)} ${measured.padStart(9)} ${off.padStart(8)}  ${source}`;
  };
  const figure = (value) => value.toFixed(value < 20 ? 2 : 1);
  const percent = (row) => `${(100 * deviation(row)).toFixed(1)} %`;
  return [
    line('microbenchmark, virtual time', 'unit', 'published', 'here', 'off by', 'source'),
    ...rows.map((row) => line(row.name, row.unit, figure(row.published), figure(row.measured), percent(row), row.source)),
  ].join('\n');
}
