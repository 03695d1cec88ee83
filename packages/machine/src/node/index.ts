// Image files: what keeps a non-volatile medium's bytes between runs.
export { type ImageFile, type ImageFileOptions, openImageFile } from './image-file.js';
