export { type CompleteDeps, completePart } from './complete-part.ts';
export { openPartFile, type PartFile, removePart, removeState } from './part-file.ts';
export { isWordOfOrigin, repair } from './repair.ts';
