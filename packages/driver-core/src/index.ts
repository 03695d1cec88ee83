// A device and the driver that may take it.
export { type Device, createRootDevice, devicePath } from './device.js';
export type { Driver } from './driver.js';
// Where they meet.
export { type Bus, createBus, driverAttributes } from './bus.js';
export { type PlatformBus, type PlatformDevId, type PlatformDevice, type PlatformDeviceSpec, createPlatformBus } from './platform.js';
// What the command line and /sys/module say to a driver: kernel/params.c, which packages below this one need, too.
export { type ModuleParams, type ParamSpec, boolParam, intParam, moduleParams, stringParam, uintParam, wordParam } from '@holdfast/lib';
