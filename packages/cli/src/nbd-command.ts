/**
 * `holdfast nbd`: boots a machine and serves its disks to real NBD clients, with its power switch on a socket beside, until it is told to stop.
 */
import { performance } from 'node:perf_hooks';
import type { AddressInfo } from 'node:net';
import {
  type NbdAddress, type NbdCounters, type NbdServerOptions, ON_CUT, type OnCut, type Recorder, createControlHandlers, createControlServer,
  createCutTrigger, createExportClients,
  createFaultPlan, createMachineExports, createNbdServer, createPowerSwitch, createStateExports, tlsOptions,
} from '@holdfast/nbd';
import type { Terminal } from './boot-command.js';
import { CliError } from './cli-error.js';
import { controlPathFor } from './nbd-control-path.js';
import { type NbdMachineOptions, bootNbdMachine } from './nbd-options.js';
import { startRecorder } from './nbd-record.js';

export interface NbdCommandOptions extends NbdMachineOptions {
  socket?: string;
  port?: string;
  sync?: boolean;
  tls?: string;
  tlsCertificates?: string;
  tlsVerifyPeer?: boolean;
  tlsPsk?: string;
  control?: string;
  onCut?: string;
  keepCuts?: string;
  record?: string;
}

const STATUS_MS = 1000;
const MAX_KEPT_CUTS = 10_000;

/** Runs until a signal. @returns the exit status @throws CliError for options that do not fit together */
export async function nbdCommand(options: NbdCommandOptions, terminal: Terminal): Promise<number> {
  const signalled = untilSignal(); // whenever one comes, also while the machine boots
  const serving = await serveNbd(options, terminal);
  for (const uri of serving.uris) terminal.out(`${uri}\n`);
  terminal.err(`holdfast: control socket ${serving.control}\n`);
  const stopStatus = terminal.interactive ? showStatus(serving.counters, terminal) : () => {};
  await signalled;
  stopStatus();
  await serving.close();
  return 0;
}

export interface NbdServing {
  /** What to paste into nbdinfo, nbdcopy, qemu or fio. */
  readonly uris: readonly string[];
  /** Path of the control socket. */
  readonly control: string;
  readonly counters: NbdCounters;
  /** Orderly: clients get their replies, the machine is powered off. */
  close(): Promise<void>;
}

/** Boot a machine and serve its disks. @throws CliError, KernelError, the host's errors */
export async function serveNbd(options: NbdCommandOptions, terminal: Pick<Terminal, 'out' | 'err'>): Promise<NbdServing> {
  const address = addressOf(options);
  const onCut = chooseOnCut(options.onCut);
  const tls = chooseTls(options);
  const maxCuts = options.keepCuts === undefined ? undefined : wholeNumber(options.keepCuts, '--keep-cuts', 1, MAX_KEPT_CUTS);
  const names = (): readonly string[] => exports().map(({ name }) => name);
  let exports: ReturnType<typeof createMachineExports> = () => [];
  let recorder: Recorder | undefined;
  const machine = await bootNbdMachine(options, {
    terminal,
    names,
    onImages(images) {
      if (options.record !== undefined) recorder = startRecorder(options.record, options, images);
    },
  });
  const powerOff = (): void => {
    machine.system.close();
    recorder?.close();
  };
  try {
    const faults = createFaultPlan(() => names()[0]);
    const trigger = createCutTrigger();
    exports = createMachineExports({
      kernel: () => machine.powered(),
      readOnly: options.readOnly === true,
      persist: options.sync ? () => machine.system.datasync() : undefined,
      layer: (name, disk) => {
        const faulty = faults.wrap(name, disk);
        return trigger.wrap(recorder ? recorder.wrap(name, faulty) : faulty);
      },
      ...(options.export ? { names: options.export } : {}),
    });
    if (exports().length === 0) throw new CliError('this machine has no disk to export');
    const states = createStateExports({ cuts: () => power.cuts, boot: (cut, stores) => machine.bootState(cut, stores) });
    const server = createNbdServer({ exports, unlisted: (name) => states.find(name), ...(tls ? { tls } : {}) });
    const power = createPowerSwitch({
      machine,
      clients: createExportClients(() => server.connections, exports),
      onCut,
      seed: Number(options.seed ?? 0),
      now: () => performance.now() * 1000,
      ...(maxCuts === undefined ? {} : { maxCuts }),
      ...(recorder ? { record: recorder } : {}),
    });
    const switchboard = createControlServer(createControlHandlers({ server, exports, power, trigger, states, faults, recorder }));
    await server.listen(address);
    const at = server.address() as AddressInfo | string;
    const control = options.control ?? controlPathFor(at);
    try {
      await switchboard.listen(control);
    } catch (error) {
      await server.close();
      throw error;
    }
    return {
      uris: names().map((name) => uriOf(at, name, tls !== undefined)),
      control,
      counters: server.counters,
      async close() {
        await switchboard.close();
        await server.close();
        states.close();
        powerOff();
      },
    };
  } catch (error) {
    powerOff();
    throw error;
  }
}

function addressOf({ socket, port }: NbdCommandOptions): NbdAddress {
  if (socket !== undefined && port !== undefined) throw new CliError('give --socket or --port, not both');
  if (socket !== undefined) return { socket };
  return { port: port === undefined ? 10809 : wholeNumber(port, '--port', 0, 65535) };
}

function chooseOnCut(text: string | undefined): OnCut {
  const choice = ON_CUT.find((each) => each === (text ?? 'fail'));
  if (!choice) throw new CliError(`--on-cut '${text}': expected ${ON_CUT.join(' or ')}`);
  return choice;
}

function wholeNumber(text: string, what: string, least: number, most: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(number >= least && number <= most)) throw new CliError(`${what} '${text}': expected a whole number from ${least} to ${most}`);
  return number;
}

function uriOf(address: AddressInfo | string, name: string, secure: boolean): string {
  const path = encodeURIComponent(name);
  const scheme = secure ? 'nbds' : 'nbd';
  if (typeof address === 'string') return `${scheme}+unix:///${path}?socket=${encodeURI(address)}`;
  return `${scheme}://127.0.0.1:${address.port}/${path}`;
}

/** @throws CliError for options that do not fit together, KernelError for files that cannot be used */
function chooseTls({ tls, tlsCertificates: certificates, tlsVerifyPeer: verifyPeer, tlsPsk: psk }: NbdCommandOptions): NbdServerOptions['tls'] {
  const policy = tls ?? ((certificates ?? psk) === undefined ? 'off' : 'require');
  if (policy === 'off') return undefined;
  if ((certificates === undefined) === (psk === undefined)) throw new CliError(`--tls ${policy}: give --tls-certificates or --tls-psk`);
  const options = tlsOptions({
    ...(certificates === undefined ? {} : { certificates }),
    ...(psk === undefined ? {} : { psk }),
    verifyPeer: verifyPeer === true,
  });
  return { policy: policy === 'on' ? 'offered' : 'required', options };
}

/** One line that is written over each second. */
function showStatus(counters: NbdCounters, terminal: Terminal): () => void {
  let before = { ...counters };
  const timer = setInterval(() => {
    const rate = (key: keyof NbdCounters): number => counters[key] - before[key];
    const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB/s`;
    const line = `read ${rate('reads')} IOPS ${mib(rate('bytesRead'))}   write ${rate('writes')} IOPS ${mib(rate('bytesWritten'))}   errors ${counters.errors}`;
    before = { ...counters };
    terminal.err(`\r\x1b[K${line}`);
  }, STATUS_MS);
  return () => {
    clearInterval(timer);
    terminal.err('\n');
  };
}

/** Listens for good: a second signal must not cut the orderly end short that the first one began. */
function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
  });
}
