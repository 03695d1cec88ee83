// A server, what it exports, and the disk behind that.
export { type NbdServer, type NbdServerOptions, createNbdServer } from './server.js';
export type { NbdAddress } from './listen.js';
export { type NbdExport } from './export.js';
export { type DiskNeeds, type Extent, type NbdDisk, type Slab, createBdevDisk } from './disk.js';
export { createByteDisk } from './byte-disk.js';
export { type TlsFiles, tlsOptions } from './tls-options.js';
export type { NbdCounters } from './serving.js';
export { type MachineExportsNeeds, type Powered, createMachineExports } from './machine-exports.js';
// The power switch: what a cut takes back, by which rule, and every other outcome as an export.
export { type CutDrive, type OpenUnit, type PowerDomain, type PowerStore, driveDomain, machineDomain, mediumName } from './power/power-domain.js';
export { KEEP_RULES, type KeepRule, chooseImages } from './power/keep-rule.js';
export { type StateSpace, type StoreRange, createStateSpace } from './power/state-space.js';
export { type Cut, cutPower } from './power/cut.js';
export {
  type CutOptions, ON_CUT, type OnCut, type PowerSwitch, type PowerSwitchNeeds, type SwitchedClients, type SwitchedMachine, createPowerSwitch,
} from './power/power-switch.js';
export { type CutTrigger, createCutTrigger } from './power/cut-trigger.js';
export { createExportClients } from './power/export-clients.js';
export { type StateExports, type StateExportsNeeds, type StateMachine, createStateExports } from './power/state-exports.js';
// Faults of a disk.
export { FAULT_ERRORS, FAULT_KINDS, FAULT_OPS, type FaultError, type FaultKind, type FaultOp, type FaultSpec, type ListedFault } from './faults/fault-spec.js';
export { type FaultPlan, createFaultPlan } from './faults/fault-plan.js';
// What happened, in a file, and doing it again.
export { type Recorder, type RecorderNeeds, createRecorder } from './record/recorder.js';
export { type TraceEvent, type TraceHeader, type TraceRecord } from './record/trace-format.js';
export { type ReplayMachine, type ReplayReport, type TraceReader, type Until, openTrace, replay } from './record/replay.js';
// A client of any NBD server.
export { type NbdClient, type NbdConnectOptions, type WriteOptions, connectNbd } from './client/nbd-client.js';
export type { ExportTerms } from './client/client-handshake.js';
export { NbdEndedError, NbdProtocolError, NbdRefusedError, NbdReplyError } from './client/client-errors.js';
export { type NbdTarget, parseNbdUri } from './client/nbd-uri.js';
export { type Headers, STATE_HOLE, STATE_ZERO, TRANSMISSION } from './protocol.js';
// The control socket, and its client.
export {
  CONTROL_VERSION,
  ControlError,
  type ControlMethod,
  type ControlMethods,
  type ControlParams,
  type ControlResult,
  type CutSummary,
  type ExportSummary,
  type NbdStatus,
} from './control/control-protocol.js';
export { type ControlNeeds, createControlHandlers } from './control/control-handlers.js';
export { type ControlHandlers, type ControlServer, createControlServer } from './control/control-server.js';
export { type NbdControl, createNbdControl } from './control/control-client.js';
