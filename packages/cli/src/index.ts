// A machine that can be booted, powered off, and cut from power.
export { type System, type SystemOptions, createSystem } from './system.js';
export type { DimmPlan } from './host/slot-layout.js';
export { type BootCommandOptions, bootFromOptions } from './boot-command.js';
export { CliError } from './cli-error.js';
export { type LoadedFirmware, loadFirmware } from './firmware.js';
export { type MachinePlan, type MediumPlan, type PlanInput, planMachine } from './machine-plan.js';
export { type BuiltMachine, type MachineOptions, buildMachine } from './build-machine.js';
export { type HostDevice, type PluggedVirtio, type VirtioPlan, parseVirtioMem, parseVirtioPmem, plugVirtio } from './virtio-devices.js';
export { pcMap, pmemLines } from './pc-map.js';
// Its console.
export { type Shell, type ShellBuiltin, type ShellOptions, createShell } from './console/shell.js';
export { type Explanation, formatExplanation } from './console/explain.js';
export { type CommandRecord, type CommandRunner, type LiteRecord, type Output, type RunnerOptions, createCommandRunner } from './run-commands.js';
// Facts: what a log and a running kernel tell, in the shape of the golden captures.
export {
  type BootLogFacts, type E820Facts, type E820Range, type E820Update, type MemblockFacts, type NodeRange, type ZoneRange,
  bootLogLines, parseBootLog, stripLogPrefix,
} from './facts/boot-log.js';
export {
  type Capture, type CaptureTexts, type FirmwareMemmapFact,
  captureFacts, firmwareMemmapFacts, parseCapture, readCaptureTexts,
} from './facts/capture.js';
export type { DeviceFacts } from './facts/device-facts.js';
export type { IomemFact } from './facts/iomem-facts.js';
export { type LiteState, liteDifference, liteState, liteStateOf } from './facts/lite.js';
export type { MemoryBlockFact, MemoryFacts } from './facts/memory-facts.js';
export type { ZoneFact } from './facts/zone-facts.js';
export { type BootFacts, bootFacts, withCommands } from './report.js';
// The tree as files, for tools with --sysroot.
export { type SysrootReport, exportSysroot } from './sysroot.js';
