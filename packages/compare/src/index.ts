// Every design on the same device.
export { type CompareOptions, type CompareRow, type DesignResult, type Refusal, DESIGN_NAMES, compareDesigns, defaultRam } from './compare.js';
// What works, what it costs, what is lost: tried on a machine made for it.
export { type Outcome, PROBES, type ProbeName, runProbes } from './probes.js';
export { WORKLOADS, type WorkloadName, type WorkloadResult, runWorkload } from './workloads.js';
export { type AfterPowerCut, type PowerCutResult, tryPowerCut } from './power-cut.js';
export { DISK, OTHER_DISK, type Rig, type RigSpec, createRig } from './rig.js';
