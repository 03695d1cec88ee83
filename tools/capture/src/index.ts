// What other tools need to boot a real Linux: what is installed, and a root of it with an init.
export { type InstalledLinux, findLinux } from './installed-linux.js';
export { type InitramfsParts, buildInitramfs } from './initramfs.js';
export { GUEST_PRELUDE } from './guest-words.js';
