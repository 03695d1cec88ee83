// The drive, as hardware with a volatile cache; and its disk.
export { type Drive, type DriveSpec, type OpenAtom, createDrive } from './drive.js';
export { type SdNeeds, attachDrives } from './sd.js';
